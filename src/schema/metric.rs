//! The metric table: what each number in a reading means.
//!
//! Rows are appended, never renumbered or reused. The wire, the exporter, the
//! page and `eagle-eye list metrics` take everything they say from here.

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A share, 0 to 1.
    Ratio,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Degrees Celsius.
    Celsius,
    /// Things: requests, packets, processes.
    Count,
}

impl Unit {
    /// The unit in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Celsius => "celsius",
            Self::Count => "count",
        }
    }
}

/// Whether a metric may fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A value that rises and falls.
    Gauge,
    /// A sum that only rises, until its source restarts.
    Counter,
}

/// One row of the metric table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its number on the wire.
    pub id: MetricId,
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// Whether it may fall.
    pub kind: MetricKind,
    /// The kind of device it belongs to ([`super::Device::kind`]).
    pub device_kind: &'static str,
    /// One sentence, with the source of the fact.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:literal $variant:ident $name:literal $unit:ident $kind:ident $device:literal $help:literal;)*) => {
        /// The number of a metric on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum MetricId {
            $(#[doc = $help] $variant = $id,)*
        }

        /// Every metric in the order of its number.
        pub const METRICS: &[Metric] = &[$(Metric {
            id: MetricId::$variant,
            name: $name,
            unit: Unit::$unit,
            kind: MetricKind::$kind,
            device_kind: $device,
            help: $help,
        },)*];

        impl MetricId {
            /// The metric with this number, if this build knows it.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($id => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

impl MetricId {
    /// The metric's row.
    #[must_use]
    pub fn row(self) -> &'static Metric {
        let at = METRICS.binary_search_by_key(&(self as u16), |metric| metric.id as u16);
        &METRICS[at.unwrap_or_default()]
    }
}

metrics! {
    1 CpuBusy "cpu_busy_ratio" Ratio Gauge "cpu" "Share of time not idle since the last sample (/proc/stat).";
    2 CpuUser "cpu_user_ratio" Ratio Gauge "cpu" "Share of time in user space, nice included (/proc/stat).";
    3 CpuSystem "cpu_system_ratio" Ratio Gauge "cpu" "Share of time in the kernel, interrupts included (/proc/stat).";
    4 CpuIoWait "cpu_iowait_ratio" Ratio Gauge "cpu" "Share of time idle with input or output outstanding (/proc/stat).";
    5 CpuSteal "cpu_steal_ratio" Ratio Gauge "cpu" "Share of time the hypervisor gave to others (/proc/stat).";
    10 MemoryTotal "memory_total_bytes" Bytes Gauge "node" "Usable memory (MemTotal of /proc/meminfo).";
    11 MemoryAvailable "memory_available_bytes" Bytes Gauge "node" "Memory that can be had without swapping (MemAvailable of /proc/meminfo).";
    12 MemoryCached "memory_cached_bytes" Bytes Gauge "node" "Page cache (Cached of /proc/meminfo).";
    13 MemoryDirty "memory_dirty_bytes" Bytes Gauge "node" "Pages waiting to be written (Dirty of /proc/meminfo).";
    14 SwapTotal "swap_total_bytes" Bytes Gauge "node" "Swap space (SwapTotal of /proc/meminfo).";
    15 SwapFree "swap_free_bytes" Bytes Gauge "node" "Unused swap space (SwapFree of /proc/meminfo).";
    16 SwapIn "swap_in_bytes_total" Bytes Counter "node" "Read back from swap (pswpin of /proc/vmstat, in pages).";
    17 SwapOut "swap_out_bytes_total" Bytes Counter "node" "Written to swap (pswpout of /proc/vmstat, in pages).";
    18 MajorFaults "memory_major_faults_total" Count Counter "node" "Page faults that needed input (pgmajfault of /proc/vmstat).";
    19 OutOfMemoryKills "memory_oom_kills_total" Count Counter "node" "Processes killed for want of memory (oom_kill of /proc/vmstat).";
    20 PressureCpuSome "pressure_cpu_some_seconds_total" Seconds Counter "node" "Time in which some task waited for a CPU (/proc/pressure/cpu).";
    21 PressureMemorySome "pressure_memory_some_seconds_total" Seconds Counter "node" "Time in which some task waited for memory (/proc/pressure/memory).";
    22 PressureMemoryFull "pressure_memory_full_seconds_total" Seconds Counter "node" "Time in which all tasks waited for memory (/proc/pressure/memory).";
    23 PressureIoSome "pressure_io_some_seconds_total" Seconds Counter "node" "Time in which some task waited for input or output (/proc/pressure/io).";
    24 PressureIoFull "pressure_io_full_seconds_total" Seconds Counter "node" "Time in which all tasks waited for input or output (/proc/pressure/io).";
    30 LoadOne "load_one_minute" Count Gauge "node" "Runnable and uninterruptible tasks, damped over a minute (/proc/loadavg).";
    31 LoadFive "load_five_minutes" Count Gauge "node" "The same over five minutes (/proc/loadavg).";
    32 LoadFifteen "load_fifteen_minutes" Count Gauge "node" "The same over fifteen minutes (/proc/loadavg).";
    33 TasksRunnable "tasks_runnable" Count Gauge "node" "Tasks running or ready to run now (/proc/loadavg).";
    34 Tasks "tasks" Count Gauge "node" "Tasks that exist (/proc/loadavg).";
    35 TasksBlocked "tasks_blocked" Count Gauge "node" "Tasks in uninterruptible sleep (procs_blocked of /proc/stat).";
    36 ContextSwitches "context_switches_total" Count Counter "node" "Context switches (ctxt of /proc/stat).";
    40 DescriptorsUsed "descriptors_used" Count Gauge "node" "Open file handles on the node (/proc/sys/fs/file-nr).";
    41 DescriptorsLimit "descriptors_limit" Count Gauge "node" "Most open file handles (/proc/sys/fs/file-nr).";
    50 InterfaceReceived "interface_receive_bytes_total" Bytes Counter "interface" "Received (/proc/net/dev).";
    51 InterfaceSent "interface_transmit_bytes_total" Bytes Counter "interface" "Sent (/proc/net/dev).";
    52 InterfaceReceivedPackets "interface_receive_packets_total" Count Counter "interface" "Packets received (/proc/net/dev).";
    53 InterfaceSentPackets "interface_transmit_packets_total" Count Counter "interface" "Packets sent (/proc/net/dev).";
    54 InterfaceReceiveErrors "interface_receive_errors_total" Count Counter "interface" "Receive errors (/proc/net/dev).";
    55 InterfaceSendErrors "interface_transmit_errors_total" Count Counter "interface" "Send errors (/proc/net/dev).";
    56 InterfaceReceiveDrops "interface_receive_drops_total" Count Counter "interface" "Received and dropped (/proc/net/dev).";
    57 InterfaceSendDrops "interface_transmit_drops_total" Count Counter "interface" "Dropped before sending (/proc/net/dev).";
    60 DiskRead "disk_read_bytes_total" Bytes Counter "disk" "Read, in sectors of 512 bytes (/proc/diskstats).";
    61 DiskWritten "disk_write_bytes_total" Bytes Counter "disk" "Written, in sectors of 512 bytes (/proc/diskstats).";
    62 DiskReads "disk_reads_total" Count Counter "disk" "Reads completed (/proc/diskstats).";
    63 DiskWrites "disk_writes_total" Count Counter "disk" "Writes completed (/proc/diskstats).";
    64 DiskBusy "disk_busy_seconds_total" Seconds Counter "disk" "Time with input or output in flight (/proc/diskstats).";
    65 DiskInFlight "disk_in_flight" Count Gauge "disk" "Requests in flight now (/proc/diskstats).";
    100 OwnCpu "own_cpu_seconds_total" Seconds Counter "own" "CPU time of this process, user and system (/proc/self/stat).";
    101 OwnResident "own_resident_bytes" Bytes Gauge "own" "Resident memory of this process (/proc/self/statm).";
    102 OwnThreads "own_threads" Count Gauge "own" "Threads of this process (/proc/self/stat).";
    103 OwnDescriptors "own_descriptors" Count Gauge "own" "Open descriptors of this process (/proc/self/fd).";
    104 RecordsProduced "own_records_produced_total" Count Counter "ring" "Records that a sampler committed to its ring or had to drop.";
    105 RecordsDropped "own_records_dropped_total" Count Counter "ring" "Records dropped since the ring was full.";
    106 RingDepth "own_ring_depth" Count Gauge "ring" "Records in the ring when last drained.";
    107 BatchesDropped "own_batches_dropped_total" Count Counter "taker" "Batches a taker lost since its queue was full.";
    108 BatchesTaken "own_batches_taken_total" Count Counter "taker" "Batches offered to a taker and queued.";
    109 TickLate "own_tick_late_seconds" Seconds Gauge "sampler" "How late the last tick began.";
    110 TickDuration "own_tick_seconds" Seconds Gauge "sampler" "How long the last tick took.";
    111 TicksOverrun "own_ticks_overrun_total" Count Counter "sampler" "Ticks that took longer than their period.";
    112 SamplerStalled "own_sampler_stalled" Count Gauge "sampler" "1 while the sampler has missed two periods.";
    113 ValuesRefused "own_values_refused_total" Count Counter "table" "Values that found no cell in a table of newest values.";
    114 RecordsLost "own_records_lost_total" Count Counter "loss" "Records, callers, names or events lost at this place for this reason; absent until one was.";
    115 PublishTime "own_publish_seconds_total" Seconds Counter "link" "Time that batches waited between the drain and the network client, summed.";
    116 Publishes "own_publishes_total" Count Counter "link" "Batches handed to the network client.";
    117 PublishTimeMax "own_publish_max_seconds" Seconds Gauge "link" "The longest such wait since the last sample.";
    118 TickAge "own_tick_age_seconds" Seconds Gauge "sampler" "Time since the last finished tick.";
    119 JournalHeld "own_journal_events" Count Gauge "journal" "Events in the journal that wait to be acknowledged.";
    255 ScrapeDuration "scrape_duration_seconds" Seconds Gauge "scrape" "How long the last page took from the request to its end (the engine's metrics page).";
    256 ScrapeBytes "scrape_page_bytes" Bytes Gauge "scrape" "Length of the last page (the engine's metrics page).";
    257 ScrapeSamples "scrape_samples" Count Gauge "scrape" "Samples of the last page that stand in a name table (the engine's metrics page).";
    258 ScrapeAge "scrape_age_seconds" Seconds Gauge "scrape" "Time since the last page that could be read, or since it was first asked for.";
    259 ScrapePages "scrape_pages_total" Count Counter "scrape" "Pages read.";
    260 ScrapeUnconnected "scrape_failures_unconnected_total" Count Counter "scrape" "Pages missed since no connection came about or the name has no address.";
    261 ScrapeLate "scrape_failures_late_total" Count Counter "scrape" "Pages missed since they did not come in time.";
    262 ScrapeRefused "scrape_failures_refused_total" Count Counter "scrape" "Pages missed since the server answered something else: another status, a redirect, no HTTP.";
    263 ScrapeCut "scrape_failures_cut_total" Count Counter "scrape" "Pages missed since the connection ended before the page did.";
    264 ScrapeUnread "scrape_failures_unread_total" Count Counter "scrape" "Pages missed since they were too long or no engine's.";
    265 ScrapeRestarts "scrape_restarts_total" Count Counter "scrape" "Times that the page's counters or start time told of an engine that began anew.";
    266 ScrapeSamplesRefused "scrape_samples_refused_total" Count Counter "scrape" "Samples and lines that were malformed, negative, no number, too large or too many.";
    267 ScrapePaused "scrape_paused" Count Gauge "scrape" "1 while the page is left alone since its engine reports itself.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_end_in_their_unit_or_stand_for_a_count() {
        for pair in METRICS.windows(2) {
            assert!((pair[0].id as u16) < (pair[1].id as u16), "{}", pair[1].name);
        }
        for metric in METRICS {
            assert_eq!(metric.id.row(), metric);
            assert!(metric.help.ends_with('.'), "{} needs a sentence", metric.name);
            let base = metric.name.trim_end_matches("_total");
            assert_eq!(base != metric.name, metric.kind == MetricKind::Counter, "{}", metric.name);
            if metric.unit != Unit::Count {
                assert!(base.ends_with(metric.unit.name()), "{}", metric.name);
            }
        }
    }
}
