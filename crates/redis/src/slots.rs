//! The slots of a cluster.

use redis::Value;

use crate::reply::text;

/// The number of slots of every cluster.
const SLOTS: usize = 16384;

/// Which server has which slot. A server alone has all of them.
#[derive(Debug)]
pub(crate) struct Slots {
    /// The place of each slot's server in the list of servers. It is empty if there is but one.
    owners: Vec<u16>,
}

/// A server of a cluster, and the first and the last slot of a range of its.
pub(crate) type Range = (String, u16, u16, u16);

impl Slots {
    /// All slots are at the first server.
    pub(crate) fn of_one() -> Self {
        Self { owners: Vec::new() }
    }

    /// Reads the answer to CLUSTER SLOTS: the addresses of the servers, and which has which slot. `host` is that of the
    /// server that has answered, which may leave it out. The error says what is wrong with the cluster.
    pub(crate) fn read(answer: &Value, host: &str) -> Result<(Vec<(String, u16)>, Self), String> {
        let ranges = ranges(answer, host).ok_or("its answer to CLUSTER SLOTS cannot be read")?;
        let mut servers: Vec<(String, u16)> = Vec::new();
        let mut owners = vec![u16::MAX; SLOTS];
        for (host, port, first, last) in ranges {
            let server = (host, port);
            let owner = servers.iter().position(|known| *known == server).unwrap_or_else(|| {
                servers.push(server);
                servers.len() - 1
            });
            owners.get_mut(usize::from(first)..=usize::from(last)).ok_or("it has too many slots")?.fill(owner as u16);
        }
        match owners.iter().position(|&owner| owner == u16::MAX) {
            Some(slot) => Err(format!("no server has slot {slot}; mend it with redis-cli --cluster fix")),
            None => Ok((servers, Self { owners })),
        }
    }

    /// The place of the server that has a key or channel.
    pub(crate) fn owner(&self, key: &str) -> usize {
        self.owners.get(slot(key.as_bytes())).copied().unwrap_or(0).into()
    }
}

fn ranges(answer: &Value, host: &str) -> Option<Vec<Range>> {
    let Value::Array(answer) = answer else { return None };
    let range = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = range.as_slice() else { return None };
        let [name, Value::Int(port), ..] = primary.as_slice() else { return None };
        let name = text(name);
        let name = if name.is_empty() || name == "?" { host.to_owned() } else { name };
        Some((name, u16::try_from(*port).ok()?, u16::try_from(*first).ok()?, u16::try_from(*last).ok()?))
    };
    answer.iter().map(range).collect()
}

/// The slot of a key: the checksum of its hash tag, or of all of it if it has none.
fn slot(key: &[u8]) -> usize {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let length = rest.iter().position(|&byte| byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster names it. The `redis` crate keeps its own to itself.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_is_that_of_its_tag() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"x{foo}y{bar}"), 12182);
        assert_eq!(slot(b"{}foo"), usize::from(crc16(b"{}foo")) % SLOTS);
    }

    #[test]
    fn a_cluster_with_a_hole_is_refused() {
        let node = |port| Value::Array(vec![Value::BulkString(b"".to_vec()), Value::Int(port)]);
        let range = |first, last, port| Value::Array(vec![Value::Int(first), Value::Int(last), node(port)]);
        let whole = Value::Array(vec![range(0, 99, 1), range(100, 16383, 2)]);
        let (servers, slots) = Slots::read(&whole, "a").expect("a whole cluster");
        assert_eq!(servers, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
        assert_eq!(slots.owner("foo"), 1);
        let error = Slots::read(&Value::Array(vec![range(0, 99, 1), range(101, 16383, 2)]), "a").expect_err("a hole");
        assert!(error.contains("no server has slot 100"), "{error}");
        assert!(Slots::read(&Value::Array(vec![range(0, 16384, 1)]), "a").is_err());
        assert!(Slots::read(&Value::Nil, "a").is_err());
    }
}
