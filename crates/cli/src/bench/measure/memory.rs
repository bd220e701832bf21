//! The memory of a process on this machine, from Linux's `/proc`.

use std::{fs, io};

/// The resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> io::Result<u64> {
    // This file is exact, and `status` may lag behind. But it may be read only with special rights.
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| field(&text, "Rss:"));
    if let Some(bytes) = exact {
        return Ok(bytes);
    }
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    field(&text, "VmRSS:").ok_or_else(|| io::Error::other("the kernel tells no VmRSS"))
}

/// Returns a field in bytes. The kernel writes it in "kB", which are 1024 bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_is_around_them() {
        let status = "Name:\tserver\nVmHWM:\t    9999 kB\nVmRSS:\t    5120 kB\nThreads:\t1\n";
        assert_eq!(field(status, "VmRSS:"), Some(5120 * 1024));
        assert_eq!(field(status, "Rss:"), None);
        assert_eq!(field("Rss:     12 kB\nPss:  7 kB\n", "Rss:"), Some(12 * 1024));
        assert_eq!(field("Rss:     many kB\n", "Rss:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
    }
}
