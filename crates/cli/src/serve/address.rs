//! What `--listen` takes.

/// An address or a name, and a port. Whether it can be listened on is found out later.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let is_whole = text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (is_bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    });
    if is_whole {
        return Ok(text.to_owned());
    }
    Err("an address and a port are wanted: 127.0.0.1:8005 or [::1]:8005 for this machine alone, 0.0.0.0:8005 or [::]:8005 for \
         whoever reaches it"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for whole in ["127.0.0.1:8005", "localhost:0", "[::1]:8005", "[::]:65535"] {
            assert_eq!(address(whole).as_deref(), Ok(whole));
        }
        for half in
            ["", "8105", ":8105", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:8005", "::1"]
        {
            assert!(address(half).unwrap_err().contains("127.0.0.1:8005"), "{half}");
        }
    }
}
