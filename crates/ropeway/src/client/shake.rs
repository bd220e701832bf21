//! The opening handshake over a stream: writing the request, reading the answer, and what the connection is made of then.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use ropeway_proto::handshake::{self, ClientHandshake};
use ropeway_proto::{Config, Connection, Role};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::Client;
use crate::Error;
use crate::driver::Opened;
use crate::handshake::Handshake;
use crate::link::Link;
use crate::scratch;
use crate::transport::Transport;

impl Client {
    pub(super) async fn shake_hands(
        &self,
        client: &mut ClientHandshake,
        mut stream: Transport,
    ) -> Result<Opened, Error> {
        let request = client.request_bytes();
        stream.write_all(&request).await.map_err(Error::Connect)?;
        stream.flush().await.map_err(Error::Connect)?;
        let (opened, leftover) = read_answer(client, &mut stream).await?;

        let remote_addr = match &stream {
            Transport::Tcp(tcp) => tcp.peer_addr().ok(),
            Transport::Other(_) => None,
        };
        // Whether the peer's close frame is answered at once is the handler's to say.
        let config = Arc::new(Config { auto_close: false, ..self.config.clone() });
        let link = Arc::new(Link::new(remote_addr, config.max_buffered, self.overflow));
        let role = Role::Client { mask: self.mask };
        let mut connection = Connection::new(role, config, Instant::now().into_std());
        let handshake::Opened { negotiated, response, .. } = opened;
        if let (Some(params), Some(options)) = (&negotiated.deflate, &self.options.deflate) {
            // A client has few connections; each keeps its codecs to itself.
            connection = connection.with_deflate(params, options);
        }
        let mut handshake = Handshake::new(client.request().clone(), response, negotiated.subprotocol);
        handshake.remote_addr = remote_addr;
        Ok(Opened { stream, connection, link, handshake, leftover, place: None })
    }
}

/// Reads the server's answer; gives it with what came behind it.
async fn read_answer(
    client: &mut ClientHandshake,
    stream: &mut Transport,
) -> Result<(handshake::Opened, Vec<u8>), Error> {
    poll_fn(|cx| {
        loop {
            let step = scratch::with(|buffer| {
                let mut read = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut *stream).poll_read(cx, &mut read)) {
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        return Poll::Ready(Err(Error::Connect(error)));
                    }
                    _ if read.filled().is_empty() => return Poll::Ready(Err(client.handle_eof().into())),
                    _ => {}
                }
                let opened = client.handle(read.filled())?;
                Poll::Ready(Ok(opened.map(|opened| {
                    let leftover = read.filled()[opened.consumed..].to_vec();
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
