//! What processes, streams and disk have at a moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use async_nats::jetstream::{self, consumer};
use futures::TryStreamExt as _;
use hygeia_protocol::subject::Stream;

/// What a process has used and has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Seconds that its threads had a core; of those that ended nothing.
    pub cpu_s: f64,
    /// Resident memory.
    pub resident_kb: u64,
    /// Files and sockets.
    pub open_files: u64,
}

impl Process {
    /// Of a process that runs; nothing when it ended.
    pub fn of(id: u32) -> Option<Self> {
        let folder = format!("/proc/{id}");
        let mut cpu_ns = 0.0;
        for task in fs::read_dir(format!("{folder}/task")).ok()? {
            let told = fs::read_to_string(task.ok()?.path().join("schedstat")).unwrap_or_default();
            cpu_ns += told.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0);
        }
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            cpu_s: cpu_ns / 1e9,
            resident_kb: resident.split_whitespace().next()?.parse().ok()?,
            open_files: fs::read_dir(format!("{folder}/fd")).ok()?.count() as u64,
        })
    }
}

/// A stream and whoever reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    /// Messages that the stream holds.
    pub messages: u64,
    /// Number of the newest one.
    pub last: u64,
    /// Bytes that it holds.
    pub bytes: u64,
    /// Messages that its readers have not fetched, over all readers.
    pub pending: u64,
    /// Readers.
    pub consumers: u64,
}

/// Every stream of the broker by name, buckets included.
pub async fn streams(client: &async_nats::Client) -> BTreeMap<String, Depth> {
    let context = jetstream::new(client.clone());
    let infos: Vec<_> = context.streams().try_collect().await.unwrap_or_default();
    let mut depths = BTreeMap::new();
    for info in infos {
        let mut depth = Depth {
            messages: info.state.messages,
            last: info.state.last_sequence,
            bytes: info.state.bytes,
            pending: 0,
            consumers: info.state.consumer_count as u64,
        };
        if depth.consumers > 0
            && let Ok(stream) = context.get_stream_no_info(&info.config.name).await
        {
            let consumers: Vec<consumer::Info> = stream.consumers().try_collect().await.unwrap_or_default();
            depth.pending = consumers.iter().map(|consumer| consumer.num_pending).sum();
        }
        depths.insert(info.config.name, depth);
    }
    depths
}

/// What a stream has in such a table.
pub fn depth(depths: &BTreeMap<String, Depth>, stream: Stream) -> Depth {
    depths.get(stream.name()).copied().unwrap_or_default()
}

/// Bytes that files under a folder take on the disk.
pub fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => disk_bytes(&entry.path()),
            // 512 bytes a block, whatever the file system's own are.
            Ok(about) => about.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
