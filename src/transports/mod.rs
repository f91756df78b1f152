//! Carries named byte batches and knows nothing about what is inside.
//!
//! Every transport has a publishing end that never blocks its caller and a
//! receiving end that hands messages to a closure on its own thread. What a
//! link does when it cannot carry is said by [`Link`] and counted.
