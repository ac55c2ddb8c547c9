//! What an audit proof takes of memory, and what there is: announced before a job, so that the job waits instead of
//! ending the process and the alerts with it.

use std::path::Path;

use hygeia_zkml::audit::AuditPlan;

/// Bytes that a row of an audit circuit takes at the peak of a proof, keys included: the most that was measured, 237 MiB
/// for 2^15 rows. Larger circuits take less for each row.
const BYTES_PER_ROW: u64 = 7_600;
/// Where the files of control groups lie.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Memory this process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that are to be had now.
    pub available: u64,
    /// Bytes that could be had were nothing else running.
    pub limit: u64,
}

/// Bytes that an audit proof of this shape takes at its peak.
pub fn needed(plan: &AuditPlan) -> u64 {
    BYTES_PER_ROW << plan.k
}

/// Looks at the machine and at the control group of this process. Nothing where the system does not say.
pub fn look() -> Option<Memory> {
    let machine = machine(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group(&text, Path::new(CGROUP_ROOT)));
    Some(group.map_or(machine, |group| Memory {
        available: machine.available.min(group.available),
        limit: machine.limit.min(group.limit),
    }))
}

fn machine(meminfo: &str) -> Option<Memory> {
    let bytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { available: bytes("MemAvailable")?, limit: bytes("MemTotal")? })
}

/// The limit of the process's control group, of version 2 or 1; nothing where none is set.
fn group(own: &str, root: &Path) -> Option<Memory> {
    let path = |prefix: &str| own.lines().find_map(|line| line.split_once(prefix).map(|(_, path)| path.to_owned()));
    let version_2 = || {
        let inside = root.join(path("0::/")?);
        // Within a container the group's own files stand at the root.
        let of = |folder: &Path| files(folder, ["memory.max", "memory.current"], "inactive_file ");
        of(&inside).or_else(|| of(root))
    };
    let version_1 = || {
        let of =
            |folder: &Path| files(folder, ["memory.limit_in_bytes", "memory.usage_in_bytes"], "total_inactive_file ");
        of(&root.join("memory").join(path(":memory:/")?)).or_else(|| of(&root.join("memory")))
    };
    version_2().or_else(version_1)
}

/// Pages of files that nobody uses count as used, but are given back when asked for.
fn files(folder: &Path, [limit, used]: [&str; 2], inactive: &str) -> Option<Memory> {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let (limit, used) = (number(limit)?, number(used)?);
    let reclaimable = text("memory.stat")
        .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix(inactive)?.trim().parse::<u64>().ok()))
        .unwrap_or(0);
    Some(Memory { available: limit.saturating_sub(used.saturating_sub(reclaimable)), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_is_available() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree:          100000 kB\nMemAvailable:   12000000 kB\n";
        let expected = Memory { available: 12_000_000 * 1024, limit: 24_000_000 * 1024 };
        assert_eq!(machine(meminfo), Some(expected));
        assert_eq!(machine("MemTotal: 24000000 kB\n"), None, "an old kernel does not say");
        assert_eq!(machine("MemTotal: x kB\nMemAvailable: 1 kB\n"), None);
    }

    #[test]
    fn a_control_group_bounds_it() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let (own_2, own_1) = ("0::/pod/prover\n", "5:cpu:/x\n4:memory:/pod\n0::/\n");
        assert_eq!(group(own_2, root.path()), None, "no limit anywhere");

        write("memory/memory.limit_in_bytes", "900\n");
        write("memory/memory.usage_in_bytes", "100\n");
        assert_eq!(group(own_1, root.path()), Some(Memory { available: 800, limit: 900 }));

        write("pod/prover/memory.max", "1000\n");
        write("pod/prover/memory.current", "700\n");
        assert_eq!(group(own_2, root.path()), Some(Memory { available: 300, limit: 1000 }));
        write("pod/prover/memory.stat", "anon 500\ninactive_file 200\n");
        assert_eq!(group(own_2, root.path()), Some(Memory { available: 500, limit: 1000 }));
        write("pod/prover/memory.max", "max\n");
        assert_eq!(group(own_2, root.path()), None, "the group has no limit");
    }

    #[test]
    fn an_estimate_is_above_what_was_measured() {
        let mib = |k, slots| needed(&AuditPlan { k, slots, ..AuditPlan::default() }) / (1024 * 1024);
        for (k, slots, measured_mib) in [(14, 64, 118), (15, 256, 237), (17, 1024, 773)] {
            let estimated_mib = mib(k, slots);
            assert!((measured_mib..measured_mib * 3 / 2).contains(&estimated_mib), "2^{k} rows: {estimated_mib} MiB");
        }
    }
}
