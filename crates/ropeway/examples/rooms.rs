//! Rooms by a parameter of the path, each with the list of those who are in it.
//!
//! ```text
//! cargo run -p ropeway --example rooms
//! ```
//!
//! Connect to `ws://127.0.0.1:8005/rooms/kitchen/Ada`. The message `/who` is answered with the list.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway::{ConnectionId, Handshake, Listeners, Server, Topic};

/// The rooms that somebody is in, by their names.
#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<HashMap<String, Room>>>);

#[derive(Default)]
struct Room {
    topic: Topic,
    /// One person may be there twice, so the key is the connection and not the name.
    people: BTreeMap<ConnectionId, String>,
}

impl Room {
    fn say(&self, text: String) {
        if let Err(error) = self.topic.publish(text) {
            eprintln!("not published: {error}");
        }
    }
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, room: &str, name: &str, ws: &Listeners) {
        let mut rooms = self.lock();
        let room = rooms.entry(room.to_owned()).or_default();
        ws.subscribe(&room.topic);
        room.people.insert(ws.id(), name.to_owned());
        room.say(format!("{name} is here, {} in the room", room.people.len()));
    }

    fn leave(&self, room: &str, id: ConnectionId) {
        let mut rooms = self.lock();
        let Some(left) = rooms.get_mut(room) else { return };
        if let Some(name) = left.people.remove(&id) {
            left.say(format!("{name} has left, {} in the room", left.people.len()));
        }
        if left.people.is_empty() {
            rooms.remove(room);
        }
    }

    fn say(&self, room: &str, text: String) {
        if let Some(room) = self.lock().get(room) {
            room.say(text);
        }
    }

    fn who(&self, room: &str) -> String {
        let rooms = self.lock();
        let names = rooms.get(room).into_iter().flat_map(|room| room.people.values().map(String::as_str));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Puts listeners on a connection that has opened.
fn listen(rooms: &Rooms, ws: &mut Listeners, handshake: &Handshake) {
    // The path of the route has both.
    let [room, name] = ["room", "name"].map(|param| handshake.param(param).unwrap_or_default().to_owned());
    rooms.enter(&room, &name, ws);

    ws.on_message({
        let (rooms, room) = (rooms.clone(), room.clone());
        move |ws, message| {
            if message.as_text() == Some("/who") {
                if let Err(error) = ws.send(rooms.who(&room)) {
                    eprintln!("not sent: {error}");
                }
            } else {
                rooms.say(&room, format!("{name}: {message}"));
            }
        }
    });
    let rooms = rooms.clone();
    ws.on_close(move |ws, _closed| rooms.leave(&room, ws.id()));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    let rooms = Rooms::default();
    server.at("/rooms/{room}/{name}").on_connection(move |ws, handshake| listen(&rooms, ws, &handshake));

    if let Some(addr) = server.local_addr() {
        println!("listening on ws://{addr}/rooms/kitchen/Ada");
    }
    server.run().await?;
    Ok(())
}
