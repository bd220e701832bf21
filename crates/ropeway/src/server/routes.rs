//! The paths of a server, and the way from a request to its handler.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use matchit::{InsertError, Router};
use percent_encoding::percent_decode_str;
use ropeway_proto::handshake::{Refusal, ServerOptions};

use super::accept::Accept;
#[cfg(unix)]
use crate::connection::Driver;
use crate::connection::{Endpoint, Handler, Opened, start};
#[cfg(unix)]
use crate::event_loop::Drive;
use crate::handshake::{Params, UpgradeRequest};
#[cfg(unix)]
use crate::io::Socket;
use crate::log::{guarded, of_client};
use crate::settings::ConnectionSettings;

/// The service of a path.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) entrance: Entrance,
    /// The options that a request is judged by.
    pub(super) options: Arc<ServerOptions>,
    pub(super) connection: ConnectionSettings,
}

/// The application's decision about a request.
pub(super) type Decision<T> = Pin<Box<dyn Future<Output = Result<Accept<T>, Refusal>> + Send>>;

/// Asks the application about a request.
pub(super) type Authorize<T> = Arc<dyn Fn(UpgradeRequest) -> Decision<T> + Send + Sync>;

/// The way to a path's handler, independent of its type and of the type of its value.
#[derive(Clone)]
pub(super) enum Entrance {
    /// All clients are accepted.
    Open(Arc<dyn Fn() -> Box<dyn Start> + Send + Sync>),
    /// The application decides.
    Ask(Authorize<Box<dyn Start>>),
}

/// Starts one connection, independent of its handler's type.
pub(super) trait Start: Send {
    fn start(self: Box<Self>, opened: Opened);
    /// Opens the connection on an event loop.
    #[cfg(unix)]
    fn drive(self: Box<Self>, opened: Opened<Socket>) -> Box<dyn Drive>;
}

/// A client that was accepted, with its handler and the value that the handler gets.
pub(super) struct Admitted<T, H> {
    pub(super) endpoint: Arc<Endpoint<H>>,
    pub(super) value: T,
}

impl<T: Send + 'static, H: Handler<T>> Start for Admitted<T, H> {
    fn start(self: Box<Self>, opened: Opened) {
        let link = Arc::clone(&opened.link);
        if let Err(error) = start(opened, &self.endpoint, self.value) {
            // Nothing will drive it, so its handles learn of the end here.
            link.end();
            let remote_addr = link.remote_addr();
            guarded(|| {
                of_client!(warn, remote_addr, %error, "a connection cannot be taken from its runtime, and is dropped");
            });
        }
    }

    #[cfg(unix)]
    fn drive(self: Box<Self>, opened: Opened<Socket>) -> Box<dyn Drive> {
        Box::new(Driver::open(opened, self.endpoint, self.value))
    }
}

/// All paths, also those with parameters.
#[derive(Default)]
pub(super) struct Routes {
    /// The position of each path in `services`.
    router: Router<usize>,
    /// Paths with their services. A path has none until its route is given a handler.
    services: Vec<(String, Option<Service>)>,
    /// The service of all other paths.
    everywhere: Option<Service>,
}

/// The place of a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    Path(usize),
    Everywhere,
}

impl Routes {
    /// The service of a path, with the values of the path's parameters. Where another HTTP server nests its routers,
    /// `nested` is the rest of the path. The default route comes last: if it were found by one of the two, it would
    /// hide the other's route, which may be guarded.
    pub(super) fn find(&self, whole: &str, nested: Option<&str>) -> Option<Result<(Service, Params), Refusal>> {
        let found = self.at(whole).or_else(|| nested.and_then(|path| self.at(path)));
        let Some((service, found)) = found else {
            return self.everywhere.clone().map(|service| Ok((service, Params::default())));
        };
        let params = found.iter().map(|(name, value)| match percent_decode_str(value).decode_utf8() {
            Ok(value) => Ok((name.to_owned(), value.into_owned())),
            Err(_) => Err(not_utf8(name)),
        });
        Some(params.collect::<Result<Params, _>>().map(|params| (service.clone(), params)))
    }

    /// Whether [`find`](Self::find) returns anything.
    #[cfg(feature = "hyper")]
    pub(super) fn has(&self, whole: &str, nested: Option<&str>) -> bool {
        self.everywhere.is_some() || [Some(whole), nested].into_iter().flatten().any(|path| self.at(path).is_some())
    }

    /// The service of one path, and the parameters as they were sent.
    fn at<'p>(&self, path: &'p str) -> Option<(&Service, matchit::Params<'_, 'p>)> {
        let found = self.router.at(path).ok()?;
        let (_, service) = self.services.get(*found.value)?;
        Some((service.as_ref()?, found.params))
    }

    /// The spot of a path. A new one is made if the path is not there yet.
    pub(super) fn add(&mut self, path: &str) -> Result<Spot, RouteError> {
        if let Some(known) = self.services.iter().position(|(known, _)| known == path) {
            return Ok(Spot::Path(known));
        }
        check_start(path)?;
        let spot = self.services.len();
        self.router.insert(path, spot).map_err(|fault| RouteError { path: path.to_owned(), fault: fault.into() })?;
        self.services.push((path.to_owned(), None));
        Ok(Spot::Path(spot))
    }

    /// Sets the service of a spot. Returns the one before.
    pub(super) fn set(&mut self, spot: Spot, service: Service) -> Option<Service> {
        let place = match spot {
            Spot::Everywhere => &mut self.everywhere,
            Spot::Path(at) => &mut self.services.get_mut(at)?.1,
        };
        place.replace(service)
    }
}

fn not_utf8(name: &str) -> Refusal {
    Refusal::new(
        400,
        format!(
            "the part of the path that stands for {name:?} is not UTF-8 once its percent-encoding is undone (RFC 3986 section \
             2.5); encode text as UTF-8\n"
        ),
    )
}

fn check_start(path: &str) -> Result<(), RouteError> {
    if path.starts_with('/') { Ok(()) } else { Err(RouteError { path: path.to_owned(), fault: Fault::Start }) }
}

/// Why [`Server::try_at`](crate::Server::try_at) does not serve a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    path: String,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Start,
    Conflict(String),
    TwoParams,
    Param,
    CatchAll,
    Other(String),
}

impl RouteError {
    /// The path that is not valid.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl From<InsertError> for Fault {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Conflict { with } => Self::Conflict(with),
            InsertError::InvalidParamSegment => Self::TwoParams,
            InsertError::InvalidParam => Self::Param,
            InsertError::InvalidCatchAll => Self::CatchAll,
            error => Self::Other(error.to_string()),
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path {:?} cannot be served: ", self.path)?;
        match &self.fault {
            Fault::Start => f.write_str("it does not begin with a slash, as the path of every request does (RFC 9112 section 3.2.1)"),
            Fault::Conflict(with) => write!(
                f,
                "nothing tells it from {with:?}, which is served already; use one name for a parameter in all paths that have it, \
                 and let the paths differ in fixed text"
            ),
            Fault::TwoParams => f.write_str(
                "a part between two slashes has a parameter and something behind it; write \"/{name}/\", or fixed text before it \
                 alone, as in \"/user-{name}\"",
            ),
            Fault::Param => f.write_str(
                "a parameter has no name, or a brace of its is missing; write \"{name}\", and \"{{\" or \"}}\" for a brace that is \
                 meant",
            ),
            Fault::CatchAll => f.write_str("a parameter for the rest of the path, such as \"{*rest}\", must be its end"),
            Fault::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RouteError {}
