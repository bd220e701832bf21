//! The opening handshake over a stream: writes the request, reads the answer, and makes the connection.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use ropeway_proto::handshake::{self, ClientHandshake};
use ropeway_proto::{MaskingKeys, Role};
use tokio::io::AsyncWriteExt;

use crate::connection::Opened;
use crate::error::Error;
use crate::io::{Stream, Transport, scratch};
use crate::settings::ConnectionSettings;

/// Does the handshake over a stream that leads to the server.
pub(super) async fn shake_hands(
    client: &mut ClientHandshake,
    mut stream: Transport,
    keys: &MaskingKeys,
    settings: &ConnectionSettings,
) -> Result<Opened, Error> {
    let request = client.request_bytes();
    stream.write_all(&request).await.map_err(Error::Connect)?;
    stream.flush().await.map_err(Error::Connect)?;
    let (answer, leftover) = read_answer(client, &mut stream).await?;
    let remote_addr = stream.peer_addr();
    let handshake::Opened { negotiated, response, .. } = answer;
    let heads = (client.request().clone(), response);
    let role = Role::Client { keys: keys.clone() };
    Ok(Opened { leftover, ..Opened::new(stream, remote_addr, heads, negotiated, role, settings) })
}

/// Reads the server's answer. Returns it with the bytes that came behind it.
async fn read_answer(
    client: &mut ClientHandshake,
    stream: &mut Transport,
) -> Result<(handshake::Opened, Vec<u8>), Error> {
    poll_fn(|cx| {
        loop {
            let step = scratch::with(|buffer| {
                let count = match ready!(Stream::poll_read(stream, cx, buffer)) {
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        return Poll::Ready(Err(Error::Connect(error)));
                    }
                    Ok(0) | Err(_) => return Poll::Ready(Err(client.handle_eof().into())),
                    Ok(count) => count,
                };
                let opened = client.handle(&buffer[..count])?;
                Poll::Ready(Ok(opened.map(|opened| {
                    let leftover = buffer[opened.consumed..count].to_vec();
                    (opened, leftover)
                })))
            });
            match ready!(step) {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    })
    .await
}
