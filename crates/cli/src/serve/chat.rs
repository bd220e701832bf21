//! Each message goes to everyone at the path, with the name of who sent it; who comes and goes is told.

use std::sync::atomic::{AtomicU64, Ordering};

use ropeway::{Closed, Handler, Handshake, MessageRef, Topic, Ws};

use crate::visible::{escaped, is_hidden};

/// The most characters of a name that are shown.
const LONGEST_NAME: usize = 32;

#[derive(Default)]
pub(super) struct Chat {
    room: Topic,
    guests: AtomicU64,
}

impl Handler for Chat {
    /// The guest's name.
    type State = String;

    fn on_open(&self, ws: &mut Ws<'_>, handshake: Handshake) -> String {
        let name = handshake.uri().query().and_then(name).unwrap_or_else(|| {
            let number = self.guests.fetch_add(1, Ordering::Relaxed) + 1;
            format!("Guest {number}")
        });
        ws.subscribe(&self.room);
        self.room.publish(format!("* {name} joined ({} here)", self.room.len()));
        name
    }

    fn on_message(&self, _ws: &mut Ws<'_>, name: &mut String, message: MessageRef<'_>) {
        self.room.publish(format!("{name}: {}", escaped(&message.to_string())));
    }

    fn on_close(&self, ws: &mut Ws<'_>, name: String, _closed: &Closed) {
        ws.unsubscribe(&self.room);
        self.room.publish(format!("* {name} left ({} here)", self.room.len()));
    }
}

/// The name in `?name=Ada`, as one line.
fn name(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("name="))?.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned();
    let name: String =
        decoded.trim().chars().filter(|&c| !c.is_control() && !is_hidden(c)).take(LONGEST_NAME).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_decoded_cut_and_kept_to_one_line() {
        assert_eq!(name("room=1&name=Ada+Lovelace").as_deref(), Some("Ada Lovelace"));
        assert_eq!(name("name=%C3%89va%0D%0A").as_deref(), Some("Éva"));
        assert_eq!(name(&format!("name={}", "x".repeat(99))).map(|name| name.len()), Some(32));
        assert_eq!(name("name=%20"), None);
        assert_eq!(name("nickname=Ada"), None);
    }
}
