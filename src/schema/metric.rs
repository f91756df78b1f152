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
    /// Watts.
    Watts,
    /// Joules.
    Joules,
    /// Volts.
    Volts,
    /// Hertz.
    Hertz,
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
            Self::Watts => "watts",
            Self::Joules => "joules",
            Self::Volts => "volts",
            Self::Hertz => "hertz",
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
    /// The kind of device it belongs to ([`super::Device::kind`]);
    /// `accelerator` stands for `gpu` and `npu`.
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
    120 ContainerCpu "container_cpu_seconds_total" Seconds Counter "container" "CPU time, user and system (usage_usec of cpu.stat, or cpuacct.usage).";
    121 ContainerCpuUser "container_cpu_user_seconds_total" Seconds Counter "container" "CPU time in user space (user_usec of cpu.stat, or cpuacct.stat).";
    122 ContainerCpuSystem "container_cpu_system_seconds_total" Seconds Counter "container" "CPU time in the kernel (system_usec of cpu.stat, or cpuacct.stat).";
    123 ContainerCpuPeriods "container_cpu_periods_total" Count Counter "container" "Periods in which its CPU quota was enforced (nr_periods of cpu.stat).";
    124 ContainerThrottledPeriods "container_cpu_throttled_periods_total" Count Counter "container" "Periods in which it used up its CPU quota (nr_throttled of cpu.stat).";
    125 ContainerThrottled "container_cpu_throttled_seconds_total" Seconds Counter "container" "Time in which its tasks were held back by the quota (throttled_usec or throttled_time of cpu.stat).";
    126 ContainerCpuQuota "container_cpu_quota_cores" Count Gauge "container" "CPU time it may use a second, absent where there is no limit (cpu.max, or cpu.cfs_quota_us).";
    128 ContainerMemory "container_memory_bytes" Bytes Gauge "container" "Memory charged to it, page cache included (memory.current, or memory.usage_in_bytes).";
    129 ContainerMemoryLimit "container_memory_limit_bytes" Bytes Gauge "container" "Most memory it may have, absent where there is no limit (memory.max, or memory.limit_in_bytes).";
    130 ContainerWorkingSet "container_memory_working_set_bytes" Bytes Gauge "container" "Memory less inactive page cache, as the kubelet counts it for evictions (inactive_file of memory.stat).";
    131 ContainerSwap "container_swap_bytes" Bytes Gauge "container" "Swapped out (memory.swap.current, or total_swap of memory.stat).";
    132 ContainerSwapLimit "container_swap_limit_bytes" Bytes Gauge "container" "Most swap it may use, absent where there is no limit (memory.swap.max).";
    133 ContainerOomKills "container_oom_kills_total" Count Counter "container" "Its processes that the kernel killed for want of memory (oom_kill of memory.events or memory.oom_control).";
    136 ContainerPressureCpuSome "container_pressure_cpu_some_seconds_total" Seconds Counter "container" "Time in which some of its tasks waited for a CPU (cpu.pressure).";
    137 ContainerPressureCpuFull "container_pressure_cpu_full_seconds_total" Seconds Counter "container" "Time in which all its tasks waited for a CPU (cpu.pressure).";
    138 ContainerPressureMemorySome "container_pressure_memory_some_seconds_total" Seconds Counter "container" "Time in which some of its tasks waited for memory (memory.pressure).";
    139 ContainerPressureMemoryFull "container_pressure_memory_full_seconds_total" Seconds Counter "container" "Time in which all its tasks waited for memory (memory.pressure).";
    140 ContainerPressureIoSome "container_pressure_io_some_seconds_total" Seconds Counter "container" "Time in which some of its tasks waited for input or output (io.pressure).";
    141 ContainerPressureIoFull "container_pressure_io_full_seconds_total" Seconds Counter "container" "Time in which all its tasks waited for input or output (io.pressure).";
    144 ContainerTasks "container_tasks" Count Gauge "container" "Its processes and threads (pids.current).";
    145 ContainerTasksLimit "container_tasks_limit" Count Gauge "container" "Most processes and threads, absent where there is no limit (pids.max).";
    148 ContainerRead "container_io_read_bytes_total" Bytes Counter "container" "Read from block devices (io.stat, or blkio.throttle.io_service_bytes_recursive).";
    149 ContainerWritten "container_io_write_bytes_total" Bytes Counter "container" "Written to block devices (io.stat, or blkio.throttle.io_service_bytes_recursive).";
    152 ContainerRunning "container_running" Count Gauge "container" "1 while it has processes and they are not frozen, else 0 (cgroup.events, or pids.current and freezer.state).";
    153 ContainerFrozen "container_frozen" Count Gauge "container" "1 while it has processes and all are frozen, else 0 (cgroup.events, or freezer.state).";
    154 ContainerEmpty "container_empty" Count Gauge "container" "1 while it has no processes, else 0 (cgroup.events, or pids.current).";
    158 ContainersFollowed "containers_followed" Count Gauge "sampler" "Containers that the sampler follows (the node's cgroup trees).";
    159 ContainerAbsences "container_absences_total" Count Counter "absence" "Files and values of containers that could not be had, by reason (the node's cgroup trees).";
    160 MemoryErrorsCorrected "memory_errors_corrected_total" Count Counter "memory_controller" "Memory errors that were corrected (ce_count of /sys/devices/system/edac/mc/mc*).";
    161 MemoryErrorsUncorrected "memory_errors_uncorrected_total" Count Counter "memory_controller" "Memory errors that could not be corrected (ue_count of /sys/devices/system/edac/mc/mc*).";
    162 MemoryErrorsCorrectedUnplaced "memory_errors_corrected_unplaced_total" Count Counter "memory_controller" "Of the corrected errors, those that name no DIMM (ce_noinfo_count of /sys/devices/system/edac/mc/mc*).";
    163 MemoryErrorsUncorrectedUnplaced "memory_errors_uncorrected_unplaced_total" Count Counter "memory_controller" "Of the uncorrected errors, those that name no DIMM (ue_noinfo_count of /sys/devices/system/edac/mc/mc*).";
    164 DimmErrorsCorrected "dimm_errors_corrected_total" Count Counter "dimm" "Corrected errors of one DIMM, or of one chip-select row where the kernel knows no DIMMs (/sys/devices/system/edac/mc/mc*/dimm*/dimm_ce_count).";
    165 DimmErrorsUncorrected "dimm_errors_uncorrected_total" Count Counter "dimm" "Uncorrected errors of one DIMM, or of one chip-select row where the kernel knows no DIMMs (/sys/devices/system/edac/mc/mc*/dimm*/dimm_ue_count).";
    166 PcieErrorsCorrected "pcie_errors_corrected_total" Count Counter "pci" "PCIe errors that the link corrected (TOTAL_ERR_COR of /sys/bus/pci/devices/*/aer_dev_correctable).";
    167 PcieErrorsNonfatal "pcie_errors_nonfatal_total" Count Counter "pci" "PCIe errors that lost a transaction and left the link working (TOTAL_ERR_NONFATAL of /sys/bus/pci/devices/*/aer_dev_nonfatal).";
    168 PcieErrorsFatal "pcie_errors_fatal_total" Count Counter "pci" "PCIe errors that made the link unreliable (TOTAL_ERR_FATAL of /sys/bus/pci/devices/*/aer_dev_fatal).";
    169 PcieReceiverErrors "pcie_receiver_errors_total" Count Counter "pci" "Errors of the physical layer, as from a bad contact (RxErr of aer_dev_correctable).";
    170 PcieBadTlps "pcie_bad_tlps_total" Count Counter "pci" "Transaction packets that arrived damaged and were sent again (BadTLP of aer_dev_correctable).";
    171 PcieBadDllps "pcie_bad_dllps_total" Count Counter "pci" "Link packets that arrived damaged (BadDLLP of aer_dev_correctable).";
    172 PcieReplayRollovers "pcie_replay_rollovers_total" Count Counter "pci" "Packets sent again so often that the link was retrained (Rollover of aer_dev_correctable).";
    173 PcieReplayTimeouts "pcie_replay_timeouts_total" Count Counter "pci" "Packets sent again since no acknowledgement came (Timeout of aer_dev_correctable).";
    174 PcieCompletionTimeouts "pcie_completion_timeouts_total" Count Counter "pci" "Requests that nobody answered (CmpltTO of aer_dev_nonfatal).";
    175 PciePoisonedTlps "pcie_poisoned_tlps_total" Count Counter "pci" "Packets that arrived marked as carrying bad data (TLP of aer_dev_nonfatal).";
    176 PcieSurpriseDowns "pcie_surprise_downs_total" Count Counter "pci" "Times that the link went down unasked (SDES of aer_dev_fatal).";
    177 PcieDataLinkErrors "pcie_data_link_errors_total" Count Counter "pci" "Breaches of the data link protocol (DLP of aer_dev_fatal).";
    178 PcieMalformedTlps "pcie_malformed_tlps_total" Count Counter "pci" "Packets that break the protocol's form (MalfTLP of aer_dev_fatal).";
    179 PcieLinkSpeed "pcie_link_transfers_per_second" Count Gauge "pci" "Transfers a second and lane that the link runs at; an idle link may be slow on purpose (/sys/bus/pci/devices/*/current_link_speed).";
    180 PcieLinkSpeedMax "pcie_link_transfers_per_second_max" Count Gauge "pci" "Transfers a second and lane that the device can do (/sys/bus/pci/devices/*/max_link_speed).";
    181 PcieLinkLanes "pcie_link_lanes" Count Gauge "pci" "Lanes that the link uses (/sys/bus/pci/devices/*/current_link_width).";
    182 PcieLinkLanesMax "pcie_link_lanes_max" Count Gauge "pci" "Lanes that the device has (/sys/bus/pci/devices/*/max_link_width).";
    183 PcieRootErrorsCorrected "pcie_root_errors_corrected_total" Count Counter "pci" "Messages of corrected errors that a root port got from anywhere below it (/sys/bus/pci/devices/*/aer_rootport_total_err_cor).";
    184 PcieRootErrorsNonfatal "pcie_root_errors_nonfatal_total" Count Counter "pci" "Messages of non-fatal errors that a root port got from anywhere below it (/sys/bus/pci/devices/*/aer_rootport_total_err_nonfatal).";
    185 PcieRootErrorsFatal "pcie_root_errors_fatal_total" Count Counter "pci" "Messages of fatal errors that a root port got from anywhere below it (/sys/bus/pci/devices/*/aer_rootport_total_err_fatal).";
    186 NvmeLive "nvme_live" Count Gauge "nvme" "1 while the controller's state is live, 0 in any other state, as resetting or dead (/sys/class/nvme/*/state).";
    187 InterfaceUp "interface_up" Count Gauge "interface" "1 if the interface can carry packets, 0 if not; absent where the driver does not say (/sys/class/net/*/operstate).";
    188 InterfaceCarrier "interface_carrier" Count Gauge "interface" "1 with a signal on the link, 0 without; absent while the interface is switched off (/sys/class/net/*/carrier).";
    189 InterfaceCarrierChanges "interface_carrier_changes_total" Count Counter "interface" "Times that the signal came or went (/sys/class/net/*/carrier_changes).";
    190 InterfaceSpeed "interface_speed_bytes" Bytes Gauge "interface" "Bytes a second that the link runs at, each way (/sys/class/net/*/speed, in Mbit/s).";
    191 InterfaceFullDuplex "interface_full_duplex" Count Gauge "interface" "1 if the link carries both ways at once, 0 if not (/sys/class/net/*/duplex).";
    192 InterfaceReceiveCrcErrors "interface_receive_crc_errors_total" Count Counter "interface" "Frames that arrived with a wrong checksum, as from a bad cable (/sys/class/net/*/statistics/rx_crc_errors).";
    193 InterfaceReceiveMissed "interface_receive_missed_total" Count Counter "interface" "Frames that the card dropped since the host took them too slowly (/sys/class/net/*/statistics/rx_missed_errors).";
    194 InterfaceReceiveOverruns "interface_receive_overruns_total" Count Counter "interface" "Frames lost since the card's own buffer was full (/sys/class/net/*/statistics/rx_fifo_errors).";
    195 InterfaceTransmitCarrierErrors "interface_transmit_carrier_errors_total" Count Counter "interface" "Frames lost since the signal went while sending (/sys/class/net/*/statistics/tx_carrier_errors).";
    196 InfinibandPortActive "infiniband_port_active" Count Gauge "infiniband_port" "1 while the port's state is ACTIVE, 0 in any other (/sys/class/infiniband/*/ports/*/state).";
    197 InfinibandLinkUp "infiniband_link_up" Count Gauge "infiniband_port" "1 while the physical state is LinkUp, 0 in any other, as Polling or LinkErrorRecovery (/sys/class/infiniband/*/ports/*/phys_state).";
    198 InfinibandRate "infiniband_rate_bytes" Bytes Gauge "infiniband_port" "Bytes a second that the link runs at, each way (/sys/class/infiniband/*/ports/*/rate, in Gbit/s).";
    199 InfinibandReceived "infiniband_receive_bytes_total" Bytes Counter "infiniband_port" "Received, in words of four bytes (/sys/class/infiniband/*/ports/*/counters/port_rcv_data).";
    200 InfinibandSent "infiniband_transmit_bytes_total" Bytes Counter "infiniband_port" "Sent, in words of four bytes (/sys/class/infiniband/*/ports/*/counters/port_xmit_data).";
    201 InfinibandSymbolErrors "infiniband_symbol_errors_total" Count Counter "infiniband_port" "Bad symbols on the wire; old ports stop counting at 65535 (/sys/class/infiniband/*/ports/*/counters/symbol_error).";
    202 InfinibandLinkRecoveries "infiniband_link_recoveries_total" Count Counter "infiniband_port" "Times that the link recovered by itself; old ports stop counting at 255 (/sys/class/infiniband/*/ports/*/counters/link_error_recovery).";
    203 InfinibandLinkDowns "infiniband_link_downs_total" Count Counter "infiniband_port" "Times that the link failed to recover and went down; old ports stop counting at 255 (/sys/class/infiniband/*/ports/*/counters/link_downed).";
    204 InfinibandReceiveErrors "infiniband_receive_errors_total" Count Counter "infiniband_port" "Packets that arrived with an error; old ports stop counting at 65535 (/sys/class/infiniband/*/ports/*/counters/port_rcv_errors).";
    205 InfinibandReceiveRemoteErrors "infiniband_receive_remote_errors_total" Count Counter "infiniband_port" "Packets that arrived marked bad by somebody before us (/sys/class/infiniband/*/ports/*/counters/port_rcv_remote_physical_errors).";
    206 InfinibandIntegrityErrors "infiniband_integrity_errors_total" Count Counter "infiniband_port" "Times that local errors on the wire passed their threshold; old ports stop counting at 15 (/sys/class/infiniband/*/ports/*/counters/local_link_integrity_errors).";
    207 InfinibandBufferOverruns "infiniband_buffer_overruns_total" Count Counter "infiniband_port" "Times that the receive buffer kept overrunning; old ports stop counting at 15 (/sys/class/infiniband/*/ports/*/counters/excessive_buffer_overrun_errors).";
    208 InfinibandTransmitDiscards "infiniband_transmit_discards_total" Count Counter "infiniband_port" "Packets dropped before sending, as for a port that is down (/sys/class/infiniband/*/ports/*/counters/port_xmit_discards).";
    209 InfinibandTransmitWait "infiniband_transmit_wait_ticks_total" Count Counter "infiniband_port" "Ticks of the port's clock with data to send and no credit to send it: congestion (/sys/class/infiniband/*/ports/*/counters/port_xmit_wait).";
    210 RoceOutOfSequence "roce_out_of_sequence_total" Count Counter "infiniband_port" "Packets that arrived out of order (/sys/class/infiniband/*/ports/*/hw_counters/out_of_sequence).";
    211 RoceSequenceErrors "roce_sequence_errors_total" Count Counter "infiniband_port" "Answers of peers that a packet of ours is missing (/sys/class/infiniband/*/ports/*/hw_counters/packet_seq_err).";
    212 RoceNotReadyRetries "roce_not_ready_retries_exceeded_total" Count Counter "infiniband_port" "Sends given up since the receiver was never ready (/sys/class/infiniband/*/ports/*/hw_counters/rnr_nak_retry_err).";
    213 RoceAckTimeouts "roce_ack_timeouts_total" Count Counter "infiniband_port" "Acknowledgements that did not come in time (/sys/class/infiniband/*/ports/*/hw_counters/local_ack_timeout_err).";
    214 RoceCongestionSent "roce_congestion_notifications_sent_total" Count Counter "infiniband_port" "Congestion notifications sent to senders (/sys/class/infiniband/*/ports/*/hw_counters/np_cnp_sent).";
    215 RoceCongestionHandled "roce_congestion_notifications_handled_total" Count Counter "infiniband_port" "Congestion notifications for which this port slowed down (/sys/class/infiniband/*/ports/*/hw_counters/rp_cnp_handled).";
    216 RoceMarked "roce_congestion_marked_packets_total" Count Counter "infiniband_port" "Packets that arrived marked by a congested switch (/sys/class/infiniband/*/ports/*/hw_counters/np_ecn_marked_roce_packets).";
    217 RoceChecksumErrors "roce_checksum_errors_total" Count Counter "infiniband_port" "Packets that arrived with a wrong invariant checksum (/sys/class/infiniband/*/ports/*/hw_counters/rx_icrc_encapsulated).";
    218 ThermalZone "thermal_zone_celsius" Celsius Gauge "thermal_zone" "Temperature (/sys/class/thermal/thermal_zone*/temp, in thousandths).";
    219 ThermalZoneCritical "thermal_zone_critical_celsius" Celsius Gauge "thermal_zone" "Temperature at which the system switches itself off (/sys/class/thermal/thermal_zone*/trip_point_*_temp of type critical).";
    220 Sensor "sensor_celsius" Celsius Gauge "sensor" "Temperature (/sys/class/hwmon/hwmon*/temp*_input, in thousandths).";
    221 SensorCritical "sensor_critical_celsius" Celsius Gauge "sensor" "Temperature that the chip calls critical (/sys/class/hwmon/hwmon*/temp*_crit).";
    222 CoreThrottles "cpu_core_throttles_total" Count Counter "node" "Times that a core slowed down against heat, over all cores (/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count).";
    223 PackageThrottles "cpu_package_throttles_total" Count Counter "node" "Times that a processor package slowed down against heat, over all packages (/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count).";
    226 SourcesHanging "hardware_sources_hanging" Count Gauge "sampler" "Files of /sys that are left out since they did not answer.";
    227 ChildrenStuck "hardware_children_stuck" Count Gauge "sampler" "Reading processes that were killed and cannot end, since the kernel does not let go of their read.";
    228 HardwareAbsent "hardware_values_absent" Count Gauge "sampler" "Values and files of /sys that could not be had in the last round.";
    240 LogLinesRead "log_lines_read_total" Count Counter "log" "Lines read of the kernel log: kept, passed over and malformed ones (/dev/kmsg, syslog(2) or a file).";
    241 LogLinesKept "log_lines_kept_total" Count Counter "log" "Lines of the kernel log that became events or parts of one (samplers.kmsg.level_max and keep).";
    242 LogLinesPassed "log_lines_passed_total" Count Counter "log" "Lines of the kernel log that the filter did not keep, or that a program logged (samplers.kmsg.level_max and keep).";
    243 LogLinesMalformed "log_lines_malformed_total" Count Counter "log" "Lines of the kernel log that say nothing, and records that are none (/dev/kmsg, syslog(2) or a file).";
    244 LogLinesLost "log_lines_lost_total" Count Counter "log" "Lines of the kernel log overwritten before they were read, those before the first look included (sequence numbers of /dev/kmsg).";
    245 LogReadsFailed "log_reads_failed_total" Count Counter "log" "Reads of the kernel log that failed (/dev/kmsg, syslog(2) or a file).";
    250 TraceEventsRead "trace_events_read_total" Count Counter "trace" "Trace events of accelerators that were read and told (trace_pipe_raw of our own instance in tracefs).";
    251 TraceEventsLost "trace_events_lost_total" Count Counter "trace" "Trace events of accelerators overwritten before they were read, or never written for want of room (per_cpu/cpu*/stats of our own instance in tracefs).";
    252 TraceEventsMalformed "trace_events_malformed_total" Count Counter "trace" "Pages and records of the trace buffers that are none of the events we watch (trace_pipe_raw of our own instance in tracefs).";
    253 TraceEventsWatched "trace_events_watched" Count Gauge "trace" "Kinds of trace events that drivers offer and we record: Xid of GPUs, SXid of NVSwitches (events/*/*/id of tracefs).";
    254 TraceReadsFailed "trace_reads_failed_total" Count Counter "trace" "Reads of the trace buffers or their counts that failed, and looks for events that did (tracefs).";
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
    300 AcceleratorTemperature "accelerator_temperature_celsius" Celsius Gauge "accelerator" "Temperature of the chip (nvmlDeviceGetTemperature, dcmi_get_device_temperature).";
    301 AcceleratorMemoryTemperature "accelerator_memory_temperature_celsius" Celsius Gauge "accelerator" "Temperature of the device memory (NVML field 82, dcmi_get_device_hbm_info).";
    302 AcceleratorTemperatureSlowdown "accelerator_temperature_slowdown_celsius" Celsius Gauge "accelerator" "Temperature of the chip at which it slows down by itself (nvmlDeviceGetTemperatureThreshold, DCMI sensor 9).";
    303 AcceleratorTemperatureShutdown "accelerator_temperature_shutdown_celsius" Celsius Gauge "accelerator" "Temperature of the chip at which it switches itself off (nvmlDeviceGetTemperatureThreshold, DCMI sensor 9).";
    304 AcceleratorMemoryTemperatureMax "accelerator_memory_temperature_max_celsius" Celsius Gauge "accelerator" "Highest temperature at which the device memory may work (nvmlDeviceGetTemperatureThreshold).";
    305 AcceleratorTemperatureMargin "accelerator_temperature_margin_celsius" Celsius Gauge "accelerator" "Degrees left until the chip slows down (nvmlDeviceGetMarginTemperature).";
    306 AcceleratorPower "accelerator_power_watts" Watts Gauge "accelerator" "Power drawn (nvmlDeviceGetPowerUsage, dcmi_get_device_power_info).";
    307 AcceleratorPowerLimit "accelerator_power_limit_watts" Watts Gauge "accelerator" "Power limit in force (nvmlDeviceGetEnforcedPowerLimit).";
    308 AcceleratorPowerLimitDefault "accelerator_power_limit_default_watts" Watts Gauge "accelerator" "Power limit that the device starts with (nvmlDeviceGetPowerManagementDefaultLimit, DCMI rated power).";
    309 AcceleratorPowerLimitMax "accelerator_power_limit_max_watts" Watts Gauge "accelerator" "Highest power limit that can be set (nvmlDeviceGetPowerManagementLimitConstraints).";
    310 AcceleratorEnergy "accelerator_energy_joules_total" Joules Counter "accelerator" "Energy drawn since the driver was loaded (nvmlDeviceGetTotalEnergyConsumption).";
    311 AcceleratorVoltage "accelerator_voltage_volts" Volts Gauge "accelerator" "Core voltage (dcmi_get_device_voltage).";
    312 AcceleratorClock "accelerator_clock_hertz" Hertz Gauge "accelerator" "Clock of the compute cores (nvmlDeviceGetClockInfo of SM, DCMI frequency 7).";
    313 AcceleratorClockMax "accelerator_clock_max_hertz" Hertz Gauge "accelerator" "Highest clock of the compute cores (nvmlDeviceGetMaxClockInfo of SM, DCMI frequency 9).";
    314 AcceleratorMemoryClock "accelerator_memory_clock_hertz" Hertz Gauge "accelerator" "Clock of the device memory (nvmlDeviceGetClockInfo of memory, dcmi_get_device_hbm_info).";
    315 AcceleratorMemoryClockMax "accelerator_memory_clock_max_hertz" Hertz Gauge "accelerator" "Highest clock of the device memory (nvmlDeviceGetMaxClockInfo of memory).";
    316 AcceleratorFan "accelerator_fan_ratio" Ratio Gauge "accelerator" "Fan speed as a share of the highest (nvmlDeviceGetFanSpeed).";
    320 AcceleratorUtilization "accelerator_utilization_ratio" Ratio Gauge "accelerator" "Share of time in which the device worked (nvmlDeviceGetUtilizationRates, DCMI utilization 13 or 2).";
    321 AcceleratorMemoryActivity "accelerator_memory_activity_ratio" Ratio Gauge "accelerator" "Share of time or bandwidth in which its memory was read or written (nvmlDeviceGetUtilizationRates, DCMI utilization 10).";
    322 AcceleratorEncoder "accelerator_encoder_ratio" Ratio Gauge "accelerator" "Share of time in which the video encoder worked (nvmlDeviceGetEncoderUtilization).";
    323 AcceleratorDecoder "accelerator_decoder_ratio" Ratio Gauge "accelerator" "Share of time in which the video decoder worked (nvmlDeviceGetDecoderUtilization).";
    326 AcceleratorMemoryUsed "accelerator_memory_used_bytes" Bytes Gauge "accelerator" "Device memory in use (nvmlDeviceGetMemoryInfo_v2, dcmi_get_device_hbm_info).";
    327 AcceleratorMemoryTotal "accelerator_memory_total_bytes" Bytes Gauge "accelerator" "Device memory (nvmlDeviceGetMemoryInfo_v2, dcmi_get_device_hbm_info).";
    328 AcceleratorMemoryReserved "accelerator_memory_reserved_bytes" Bytes Gauge "accelerator" "Device memory that the driver keeps for itself (nvmlDeviceGetMemoryInfo_v2).";
    329 AcceleratorProcesses "accelerator_processes" Count Gauge "accelerator" "Processes that work on the device (nvmlDeviceGetComputeRunningProcesses, dcmi_get_device_resource_info).";
    330 AcceleratorThrottled "accelerator_throttled" Count Gauge "accelerator" "1 while heat, power or hardware slow the device down (nvmlDeviceGetCurrentClocksEventReasons; on Ascend, a busy chip below its rated clock).";
    331 AcceleratorThrottleThermalSoftware "accelerator_throttle_thermal_software" Count Gauge "accelerator" "1 while the driver slows the device down against heat (clocks event reason 0x20).";
    332 AcceleratorThrottleThermalHardware "accelerator_throttle_thermal_hardware" Count Gauge "accelerator" "1 while the hardware slows the device down against heat (clocks event reason 0x40).";
    333 AcceleratorThrottlePowerCap "accelerator_throttle_power_cap" Count Gauge "accelerator" "1 while the power limit slows the device down (clocks event reason 0x4).";
    334 AcceleratorThrottlePowerBrake "accelerator_throttle_power_brake" Count Gauge "accelerator" "1 while a signal from outside, as of the power supply, slows the device down (clocks event reason 0x80).";
    335 AcceleratorThrottleHardware "accelerator_throttle_hardware" Count Gauge "accelerator" "1 while the hardware slows the device down, for heat, power brake or current (clocks event reason 0x8).";
    336 AcceleratorThrottleSync "accelerator_throttle_sync" Count Gauge "accelerator" "1 while the device waits for others in its group of clocks (clocks event reason 0x10).";
    337 AcceleratorClocksIdle "accelerator_clocks_idle" Count Gauge "accelerator" "1 while the clocks are low since nothing runs (clocks event reason 0x1).";
    338 AcceleratorThrottledPower "accelerator_throttled_power_seconds_total" Seconds Counter "accelerator" "Time in which power limits slowed the device down (NVML field 74).";
    339 AcceleratorThrottledThermal "accelerator_throttled_thermal_seconds_total" Seconds Counter "accelerator" "Time in which heat slowed the device down (NVML field 75).";
    345 AcceleratorEccEnabled "accelerator_ecc_enabled" Count Gauge "accelerator" "1 while the device memory corrects errors (nvmlDeviceGetEccMode, dcmi_get_device_ecc_info).";
    346 AcceleratorEccCorrected "accelerator_ecc_corrected_total" Count Counter "accelerator" "Memory errors corrected since the driver was loaded (NVML field 3, dcmi_get_device_ecc_info).";
    347 AcceleratorEccUncorrected "accelerator_ecc_uncorrected_total" Count Counter "accelerator" "Memory errors that could not be corrected since the driver was loaded (NVML field 4, dcmi_get_device_ecc_info).";
    348 AcceleratorEccCorrectedLifetime "accelerator_ecc_corrected_lifetime_total" Count Counter "accelerator" "Memory errors corrected in the device's life (NVML field 5, dcmi_get_device_ecc_info).";
    349 AcceleratorEccUncorrectedLifetime "accelerator_ecc_uncorrected_lifetime_total" Count Counter "accelerator" "Memory errors that could not be corrected in the device's life (NVML field 6, dcmi_get_device_ecc_info).";
    350 AcceleratorSramUncorrected "accelerator_sram_uncorrected_total" Count Counter "accelerator" "Errors on the chip itself that could not be corrected since the driver was loaded (nvmlDeviceGetMemoryErrorCounter of SRAM).";
    351 AcceleratorDramUncorrected "accelerator_dram_uncorrected_total" Count Counter "accelerator" "Errors of the device memory that could not be corrected since the driver was loaded (nvmlDeviceGetMemoryErrorCounter of DRAM).";
    352 AcceleratorSramCorrected "accelerator_sram_corrected_total" Count Counter "accelerator" "Errors on the chip itself corrected since the driver was loaded (nvmlDeviceGetMemoryErrorCounter of SRAM).";
    353 AcceleratorDramCorrected "accelerator_dram_corrected_total" Count Counter "accelerator" "Errors of the device memory corrected since the driver was loaded (nvmlDeviceGetMemoryErrorCounter of DRAM).";
    354 AcceleratorSramThreshold "accelerator_sram_threshold_exceeded" Count Gauge "accelerator" "1 when errors on the chip itself passed the vendor's threshold for replacement (nvmlDeviceGetSramEccErrorStatus).";
    355 AcceleratorPagesRetiredCorrected "accelerator_pages_retired_corrected" Count Gauge "accelerator" "Pages of device memory taken out of use after corrected errors (NVML field 29, DCMI isolated pages of single-bit errors).";
    356 AcceleratorPagesRetiredUncorrected "accelerator_pages_retired_uncorrected" Count Gauge "accelerator" "Pages of device memory taken out of use after uncorrected errors (NVML field 30, DCMI isolated pages of double-bit errors).";
    357 AcceleratorPagesRetirePending "accelerator_pages_retire_pending" Count Gauge "accelerator" "1 while pages wait for a reset to be taken out of use (NVML field 31).";
    358 AcceleratorRowsRemappedCorrected "accelerator_rows_remapped_corrected" Count Gauge "accelerator" "Rows of device memory replaced after corrected errors (nvmlDeviceGetRemappedRows).";
    359 AcceleratorRowsRemappedUncorrected "accelerator_rows_remapped_uncorrected" Count Gauge "accelerator" "Rows of device memory replaced after uncorrected errors (nvmlDeviceGetRemappedRows).";
    360 AcceleratorRowRemapPending "accelerator_row_remap_pending" Count Gauge "accelerator" "1 while a row waits for a reset to be replaced (nvmlDeviceGetRemappedRows).";
    361 AcceleratorRowRemapFailed "accelerator_row_remap_failed" Count Gauge "accelerator" "1 when a row could not be replaced (nvmlDeviceGetRemappedRows).";
    362 AcceleratorBanksWithoutSpare "accelerator_memory_banks_without_spare" Count Gauge "accelerator" "Banks of device memory with no spare row left (nvmlDeviceGetRowRemapperHistogram).";
    363 AcceleratorBanksLowOnSpare "accelerator_memory_banks_low_on_spare" Count Gauge "accelerator" "Banks of device memory with few spare rows left (nvmlDeviceGetRowRemapperHistogram).";
    370 AcceleratorPcieGeneration "accelerator_pcie_generation" Count Gauge "accelerator" "PCIe generation of the link now (nvmlDeviceGetCurrPcieLinkGeneration).";
    371 AcceleratorPcieGenerationMax "accelerator_pcie_generation_max" Count Gauge "accelerator" "Highest PCIe generation of device and slot (nvmlDeviceGetMaxPcieLinkGeneration).";
    372 AcceleratorPcieLanes "accelerator_pcie_lanes" Count Gauge "accelerator" "PCIe lanes of the link now (nvmlDeviceGetCurrPcieLinkWidth).";
    373 AcceleratorPcieLanesMax "accelerator_pcie_lanes_max" Count Gauge "accelerator" "Most PCIe lanes of device and slot (nvmlDeviceGetMaxPcieLinkWidth).";
    374 AcceleratorPcieReplays "accelerator_pcie_replays_total" Count Counter "accelerator" "PCIe packets sent again (nvmlDeviceGetPcieReplayCounter, dcmi_get_device_pcie_error_cnt).";
    375 AcceleratorPcieReceived "accelerator_pcie_receive_bytes_total" Bytes Counter "accelerator" "Received over PCIe (NVML field 198).";
    376 AcceleratorPcieSent "accelerator_pcie_transmit_bytes_total" Bytes Counter "accelerator" "Sent over PCIe (NVML field 197).";
    377 AcceleratorPcieErrors "accelerator_pcie_errors_total" Count Counter "accelerator" "Errors of the PCIe link that the device counts (NVML fields 173 to 183, dcmi_get_device_pcie_error_cnt).";
    380 AcceleratorLinks "accelerator_links" Count Gauge "accelerator" "Links to other accelerators that the device has (NVLink, HCCS).";
    381 AcceleratorLinksActive "accelerator_links_active" Count Gauge "accelerator" "Links to other accelerators that are up (nvmlDeviceGetNvLinkState, HCCS status).";
    382 AcceleratorLinkCrcErrors "accelerator_link_crc_errors_total" Count Counter "accelerator" "Checksum errors on links to other accelerators, over all links (NVML field 163, HCCS crc_err_cnt).";
    383 AcceleratorLinkReplays "accelerator_link_replays_total" Count Counter "accelerator" "Packets sent again on links to other accelerators, over all links (NVML field 161, HCCS retry_cnt).";
    384 AcceleratorLinkRecoveries "accelerator_link_recoveries_total" Count Counter "accelerator" "Times that a link to another accelerator had to recover, over all links (NVML field 162).";
    385 AcceleratorLinkSent "accelerator_link_transmit_bytes_total" Bytes Counter "accelerator" "Sent over links to other accelerators (NVML field 138).";
    386 AcceleratorLinkReceived "accelerator_link_receive_bytes_total" Bytes Counter "accelerator" "Received over links to other accelerators (NVML field 139).";
    390 AcceleratorFabricHealthy "accelerator_fabric_healthy" Count Gauge "accelerator" "1 while the device is registered with the fabric and its summary is healthy, 0 while not (nvmlDeviceGetGpuFabricInfoV).";
    391 AcceleratorNetworkHealth "accelerator_network_health" Count Gauge "accelerator" "The device's own probe of its network: 0 well, 1 to 8 what fails (dcmi_get_device_network_health).";
    392 AcceleratorRecoveryAction "accelerator_recovery_action" Count Gauge "accelerator" "What the driver wants done: 0 nothing, 1 reset, 2 reboot, 3 drain peers, 4 drain and reset (NVML field 230).";
    393 AcceleratorHealthLevel "accelerator_health_level" Count Gauge "accelerator" "Gravest open fault by the driver's scale: 0 none, 1 minor, 2 major, 3 critical (dcmi_get_device_health).";
    394 AcceleratorErrorCodes "accelerator_error_codes" Count Gauge "accelerator" "Fault codes that are open (dcmi_get_device_errorcode_v2).";
    395 AcceleratorState "accelerator_state" Count Gauge "accelerator" "1 present, 2 gone, 3 resetting, 4 upgrading, 5 its driver does not answer.";
    396 AcceleratorInforomValid "accelerator_inforom_valid" Count Gauge "accelerator" "1 while the board's stored configuration is whole (nvmlDeviceValidateInforom).";
    397 DriverCalls "driver_calls_total" Count Counter "sampler" "Calls of the vendor's library.";
    398 DriverCallsFailed "driver_calls_failed_total" Count Counter "sampler" "Calls of the vendor's library that answered with an error, those of readings known to be absent left out.";
    399 DriverCallTime "driver_call_seconds_total" Seconds Counter "sampler" "Time spent in calls of the vendor's library.";
    400 NpuAiCore "npu_ai_core_ratio" Ratio Gauge "npu" "Share of time in which the AI cores worked (dcmi_get_device_multi_utilization_rate, or DCMI utilization 2).";
    401 NpuAiCube "npu_ai_cube_ratio" Ratio Gauge "npu" "Share of time in which the cube units of the AI cores worked (dcmi_get_device_multi_utilization_rate, or DCMI utilization 14).";
    402 NpuVectorCore "npu_vector_core_ratio" Ratio Gauge "npu" "Share of time in which the vector cores worked (dcmi_get_device_multi_utilization_rate, or DCMI utilization 12).";
    403 NpuAiCpu "npu_ai_cpu_ratio" Ratio Gauge "npu" "Share of time in which the chip's AI processors worked (DCMI utilization 3).";
    404 NpuControlCpu "npu_control_cpu_ratio" Ratio Gauge "npu" "Share of time in which the chip's control processors worked (DCMI utilization 4).";
    405 NpuVectorClock "npu_vector_core_clock_hertz" Hertz Gauge "npu" "Clock of the vector cores (DCMI frequency 12).";
    406 NpuControlClock "npu_control_cpu_clock_hertz" Hertz Gauge "npu" "Clock of the chip's control processors (DCMI frequency 2).";
    407 NpuSocTemperature "npu_soc_temperature_celsius" Celsius Gauge "npu" "Highest temperature of the chip's own sensors (DCMI sensor 11).";
    408 NpuDieTemperature "npu_die_temperature_celsius" Celsius Gauge "npu" "Temperature of the die with the network (DCMI sensor 13).";
    410 NpuPagesIsolateNextCorrected "npu_pages_isolate_next_corrected" Count Gauge "npu" "Pages of device memory that the next reset takes out of use after corrected errors (dcmi_get_device_ecc_info of newer drivers).";
    411 NpuPagesIsolateNextUncorrected "npu_pages_isolate_next_uncorrected" Count Gauge "npu" "Pages of device memory that the next reset takes out of use after uncorrected errors (dcmi_get_device_ecc_info of newer drivers).";
    412 NpuMultiBitRecords "npu_multi_bit_records" Count Gauge "npu" "Uncorrected errors of device memory that the chip keeps a record of (dcmi_get_multi_ecc_time_info_v2).";
    415 NpuHccsSent "npu_hccs_transmit_packets_total" Count Counter "npu" "Packets sent to other chips, over all HCCS ports (dcmi_get_device_info 16).";
    416 NpuHccsReceived "npu_hccs_receive_packets_total" Count Counter "npu" "Packets received from other chips, over all HCCS ports (dcmi_get_device_info 16).";
    417 NpuSioSentErrors "npu_sio_transmit_crc_errors_total" Count Counter "npu" "Checksum errors sent between the two dies of a package (dcmi_get_device_info 56).";
    418 NpuSioReceivedErrors "npu_sio_receive_crc_errors_total" Count Counter "npu" "Checksum errors received between the two dies of a package (dcmi_get_device_info 56).";
    420 NpuMacSent "npu_mac_transmit_packets_total" Count Counter "npu" "Frames that the chip's network port sent (dcmi_get_netdev_pkt_stats_info).";
    421 NpuMacReceived "npu_mac_receive_packets_total" Count Counter "npu" "Frames that the chip's network port received (dcmi_get_netdev_pkt_stats_info).";
    422 NpuMacSentBytes "npu_mac_transmit_bytes_total" Bytes Counter "npu" "Sent by the chip's network port (dcmi_get_netdev_pkt_stats_info).";
    423 NpuMacReceivedBytes "npu_mac_receive_bytes_total" Bytes Counter "npu" "Received by the chip's network port (dcmi_get_netdev_pkt_stats_info).";
    424 NpuMacSentBad "npu_mac_transmit_bad_packets_total" Count Counter "npu" "Bad frames that the chip's network port sent (dcmi_get_netdev_pkt_stats_info).";
    425 NpuMacReceivedBad "npu_mac_receive_bad_packets_total" Count Counter "npu" "Bad frames that the chip's network port received (dcmi_get_netdev_pkt_stats_info).";
    426 NpuMacFcsErrors "npu_mac_receive_fcs_errors_total" Count Counter "npu" "Frames received whose checksum is wrong (dcmi_get_netdev_pkt_stats_info).";
    427 NpuMacPauseSent "npu_mac_transmit_pause_frames_total" Count Counter "npu" "Pause frames sent (dcmi_get_netdev_pkt_stats_info).";
    428 NpuMacPauseReceived "npu_mac_receive_pause_frames_total" Count Counter "npu" "Pause frames received (dcmi_get_netdev_pkt_stats_info).";
    429 NpuMacPfcSent "npu_mac_transmit_pfc_frames_total" Count Counter "npu" "Pause frames of one priority sent, over all priorities (dcmi_get_netdev_pkt_stats_info).";
    430 NpuMacPfcReceived "npu_mac_receive_pfc_frames_total" Count Counter "npu" "Pause frames of one priority received, over all priorities (dcmi_get_netdev_pkt_stats_info).";
    431 NpuRoceSent "npu_roce_transmit_packets_total" Count Counter "npu" "RoCE packets sent (dcmi_get_netdev_pkt_stats_info).";
    432 NpuRoceReceived "npu_roce_receive_packets_total" Count Counter "npu" "RoCE packets received (dcmi_get_netdev_pkt_stats_info).";
    433 NpuRoceSentErrors "npu_roce_transmit_errors_total" Count Counter "npu" "Bad RoCE packets sent (dcmi_get_netdev_pkt_stats_info).";
    434 NpuRoceReceivedErrors "npu_roce_receive_errors_total" Count Counter "npu" "Bad RoCE packets received (dcmi_get_netdev_pkt_stats_info).";
    435 NpuRoceCongestionSent "npu_roce_congestion_notifications_sent_total" Count Counter "npu" "Congestion notices sent (CNP of dcmi_get_netdev_pkt_stats_info).";
    436 NpuRoceCongestionReceived "npu_roce_congestion_notifications_received_total" Count Counter "npu" "Congestion notices received (CNP of dcmi_get_netdev_pkt_stats_info).";
    437 NpuRoceRetries "npu_roce_retries_total" Count Counter "npu" "RoCE packets sent again (dcmi_get_netdev_pkt_stats_info).";
    438 NpuRoceSequenceErrors "npu_roce_sequence_errors_total" Count Counter "npu" "RoCE packets received out of sequence (dcmi_get_netdev_pkt_stats_info).";
    439 NpuRoceAckErrors "npu_roce_ack_errors_total" Count Counter "npu" "RoCE acknowledgements that were not expected (dcmi_get_netdev_pkt_stats_info).";
    440 NpuRoceVerificationErrors "npu_roce_verification_errors_total" Count Counter "npu" "RoCE packets that failed verification (dcmi_get_netdev_pkt_stats_info).";
    441 NpuRoceQueuePairErrors "npu_roce_queue_pair_errors_total" Count Counter "npu" "RoCE packets for a queue pair in a wrong state (dcmi_get_netdev_pkt_stats_info).";
    442 NpuRoceEcn "npu_roce_ecn_total" Count Counter "npu" "Times that a mark of congestion held a sender back (roce_ecn_db_num of dcmi_get_netdev_pkt_stats_info).";
    445 NpuOpticalPresent "npu_optical_module_present" Count Gauge "npu" "1 while an optical module is plugged in, 0 for a copper cable or none (DCMI sensor 12).";
    446 NpuOpticalTemperature "npu_optical_module_temperature_celsius" Celsius Gauge "npu" "Temperature of the optical module (DCMI sensor 12).";
    448 NpuFlashes "npu_flash_chips" Count Gauge "npu" "Flash chips of the chip (dcmi_get_device_flash_count).";
    449 NpuFlashesBad "npu_flash_chips_bad" Count Gauge "npu" "Flash chips that are not in order (dcmi_get_device_flash_info_v2).";
    450 NpuPcieLinkCrcErrors "npu_pcie_link_crc_errors_total" Count Counter "npu" "PCIe packets whose link checksum is wrong (dcmi_get_device_pcie_error_cnt).";
    451 NpuPcieDataLinkCrcErrors "npu_pcie_data_link_crc_errors_total" Count Counter "npu" "PCIe data-link packets whose checksum is wrong (dcmi_get_device_pcie_error_cnt).";
    452 NpuPcieReceiveErrors "npu_pcie_receive_errors_total" Count Counter "npu" "Receive errors of the physical coding (dcmi_get_device_pcie_error_cnt).";
    453 NpuPcieLaneErrors "npu_pcie_lane_errors_total" Count Counter "npu" "Errors of PCIe lanes (dcmi_get_device_pcie_error_cnt).";
    454 NpuPcieSymbolUnlocks "npu_pcie_symbol_unlocks_total" Count Counter "npu" "Times that the symbol lock of a PCIe lane was lost (dcmi_get_device_pcie_error_cnt).";
    456 NpuBootStage "npu_boot_stage" Count Gauge "npu" "How far the chip has booted: 0 not, 1 firmware, 2 system, 3 done, 16 all started (dcmi_get_device_boot_status).";
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
