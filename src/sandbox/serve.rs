//! The sandbox on a loopback port, for clients that are no Rust SDK: boto3, the AWS CLI, Terraform, the box.
//!
//! Beside AWS's protocols it has a door of its own for the weather, `POST /_sandbox/set` and `/_sandbox/reset`, which
//! [`control`] knocks at, and one for each instance's metadata service.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Reply, Sandbox, metadata};

/// Larger than any request of AWS's that is modelled here: SQS takes 1 MiB of messages, which JSON's escapes may treble.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// For how long the port refuses connections when the weather says so: some attempts of a client fall into it.
const AWAY: Duration = Duration::from_secs(1);

/// What [`TcpListener::bind`] asks for, too.
const BACKLOG: u32 = 1024;

/// Serves until `until` is over.
///
/// # Errors
/// The listener broke.
pub async fn serve(sandbox: Sandbox, listener: TcpListener, until: impl Future<Output = ()>) -> io::Result<()> {
    tokio::select! {
        broken = listen(&sandbox, listener) => broken.map(|never| match never {}),
        () = until => Ok(()),
    }
}

async fn listen(sandbox: &Sandbox, mut listener: TcpListener) -> io::Result<Infallible> {
    let (back, mut away) = watch::channel(Instant::now());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(connection(sandbox.clone(), stream, back.clone(), away.clone()));
            }
            _ = away.changed() => listener = refuse(listener, &mut away).await?,
        }
    }
}

/// Answers on one connection until its client goes away, the weather breaks it, or nobody is to listen: an idle connection
/// would carry the client's next attempt past a port that refuses it.
async fn connection(
    sandbox: Sandbox,
    stream: TcpStream,
    back: watch::Sender<Instant>,
    mut away: watch::Receiver<Instant>,
) {
    let service = service_fn(|request| respond(&sandbox, request, &back));
    let mut serving = pin!(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => {}
        _ = away.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}

/// Until then the kernel refuses every connection to the port, which stays ours: a socket that is bound and does not listen.
#[expect(clippy::disallowed_methods, reason = "the sandbox is the network here, and this is no wait of spotctl's")]
async fn refuse(listener: TcpListener, away: &mut watch::Receiver<Instant>) -> io::Result<TcpListener> {
    let address = listener.local_addr()?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    drop(listener);
    socket.bind(address)?;
    loop {
        let left = away.borrow_and_update().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return socket.listen(BACKLOG);
        }
        tokio::time::sleep(left).await;
    }
}

/// An error here closes the connection without an answer, which is what a dropped one is.
async fn respond(
    sandbox: &Sandbox,
    request: Request<Incoming>,
    back: &watch::Sender<Instant>,
) -> Result<Response<Answer>, Dropped> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than anything that is modelled here"));
    };
    let request = Request::from_parts(parts, body.to_bytes());
    if request.uri().path().starts_with(metadata::DOOR) {
        return carried(sandbox.metadata(&request));
    }
    if let Some(verb) = request.uri().path().strip_prefix("/_sandbox/") {
        return Ok(own_door(sandbox, request.method(), verb, request.body()));
    }
    // A person with a browser; what is signed is a call.
    if request.method() == Method::GET && !request.headers().contains_key(http::header::AUTHORIZATION) {
        return Ok(text(StatusCode::OK, "spotctl sandbox: an embedded AWS"));
    }
    let reply = sandbox.respond(&request).await;
    if matches!(reply, Ok(Reply::Refused)) {
        back.send_replace(Instant::now() + AWAY);
    }
    carried(reply)
}

fn carried(reply: io::Result<Reply>) -> Result<Response<Answer>, Dropped> {
    match reply {
        Ok(Reply::Answer(response)) => Ok(response.map(Answer::whole)),
        Ok(Reply::Truncated(response)) => Ok(response.map(|body| Answer::cut(&body))),
        Ok(Reply::Dropped | Reply::Refused) => Err(Dropped),
        Err(error) => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())),
    }
}

const DOORS: &str = "POST /_sandbox/set, POST /_sandbox/reset, GET /_sandbox/weather, GET /_sandbox/calls";

fn own_door(sandbox: &Sandbox, method: &Method, verb: &str, body: &[u8]) -> Response<Answer> {
    let done = match (method, verb) {
        (&Method::POST, "set") => sandbox.set(&words(body)).map_err(|error| error.to_string()),
        (&Method::POST, "reset") => {
            sandbox.reset().map(|()| "the sandbox is empty".to_owned()).map_err(|error| error.to_string())
        }
        (&Method::GET, "weather") => sandbox
            .weather()
            .and_then(|weather| serde_json::to_string(&weather).map_err(Into::into))
            .map_err(|error| error.to_string()),
        (&Method::GET, "calls") => sandbox
            .calls()
            .and_then(|calls| serde_json::to_string(&calls).map_err(Into::into))
            .map_err(|error| error.to_string()),
        _ => return text(StatusCode::NOT_FOUND, DOORS),
    };
    match done {
        Ok(said) => text(StatusCode::OK, &said),
        Err(error) => text(StatusCode::BAD_REQUEST, &error),
    }
}

/// A JSON list of words, or one word a line.
fn words(body: &[u8]) -> Vec<String> {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).lines().map(str::to_owned).collect())
}

fn text(status: StatusCode, text: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

/// A body that announces its whole length, and breaks off before it is over where the weather says so.
#[derive(Debug)]
struct Answer {
    next: Option<Bytes>,
    length: u64,
    breaks: bool,
    is_sent: bool,
}

impl Answer {
    fn whole(body: Bytes) -> Self {
        Self {
            length: body.len() as u64,
            next: Some(body).filter(|body| !body.is_empty()),
            breaks: false,
            is_sent: false,
        }
    }

    fn cut(body: &Bytes) -> Self {
        Self { length: body.len() as u64, next: Some(body.slice(..body.len() / 2)), breaks: true, is_sent: false }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(part) = self.next.take() {
            self.length -= part.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        if !self.is_sent {
            // hyper writes what it has when nothing more is ready; an error at once would take the half with it.
            self.is_sent = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Dropped)))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// No answer at all, or none to its end.
#[derive(Debug, thiserror::Error)]
#[error("nobody answers")]
struct Dropped;

/// Knocks at the own door of a served sandbox: `set` with words, one a line or as a JSON list, or `reset`.
///
/// # Errors
/// It is not there, it is no sandbox, or it does not understand; in words.
pub async fn control(url: &str, verb: &str, body: &str) -> Result<String, String> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let authority =
        authority.ok_or_else(|| format!("`{url}` is no sandbox's address such as http://127.0.0.1:4566"))?;
    let failed = |error: &dyn std::fmt::Display| format!("asking the sandbox at {url}: {error}");
    let stream = TcpStream::connect(authority).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let running = tokio::spawn(connection);
    let request = Request::post(format!("/_sandbox/{verb}"))
        .header("host", authority)
        .body(Full::new(Bytes::from(body.to_owned())))
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status();
    let said = response.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
    running.abort();
    let said = String::from_utf8_lossy(&said).into_owned();
    match status {
        StatusCode::OK => Ok(said),
        StatusCode::BAD_REQUEST => Err(said),
        _ => Err(format!("{url} is no sandbox: it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    /// Runs `ask` with the address of a served sandbox.
    async fn served<T>(ask: impl AsyncFnOnce(String) -> T) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(Sandbox::in_memory(), listener, async {
            let _ = stopped.await;
        });
        let asking = async {
            let answer = ask(address).await;
            stop.send(()).unwrap();
            answer
        };
        let (served, answer) = futures::join!(serving, asking);
        served.unwrap();
        answer
    }

    /// What comes back on a connection of its own that `request` was written to.
    async fn raw(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    fn call(operation: &str) -> String {
        let body = format!("Action={operation}&Version=2011-06-15");
        let scope = "AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/sts/aws4_request, Signature=0";
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {scope}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    #[tokio::test]
    async fn the_own_door_takes_words_as_lines_and_as_json_and_says_what_is_wrong() {
        served(async |address| {
            let url = format!("http://{address}");
            let set = async |body: &str| control(&url, "set", body).await;
            assert_eq!(set("latency\n5ms").await, Ok("each call takes 5ms".to_owned()));
            assert_eq!(set(r#"["latency", "6ms"]"#).await, Ok("each call takes 6ms".to_owned()));
            assert!(set("rain").await.is_err_and(|error| error.starts_with("no weather `rain`")));
            assert!(control(&url, "tset", "").await.is_err());
            raw(&address, &call("GetCallerIdentity")).await;
            let counted = raw(&address, "GET /_sandbox/calls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
            assert!(counted.ends_with(r#"{"GetCallerIdentity":1}"#), "{counted}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_dropped_answer_is_a_connection_that_ends() {
        served(async |address| {
            assert!(raw(&address, &call("GetCallerIdentity")).await.starts_with("HTTP/1.1 200"));
            control(&format!("http://{address}"), "set", "fail\nGetCallerIdentity\ndrop\n1").await.unwrap();
            assert_eq!(raw(&address, &call("GetCallerIdentity")).await, "");
            assert!(raw(&address, &call("GetCallerIdentity")).await.starts_with("HTTP/1.1 200"));
        })
        .await;
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the kernel refuses by the clock of the wall")]
    async fn a_refused_call_ends_every_idle_connection_and_refuses_new_ones_for_a_while() {
        served(async |address| {
            control(&format!("http://{address}"), "set", "fail\nGetCallerIdentity\nrefuse\n1").await.unwrap();
            let mut idle = TcpStream::connect(&address).await.unwrap();
            assert_eq!(raw(&address, &call("GetCallerIdentity")).await, "");
            assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "it ends");
            let refused = TcpStream::connect(&address).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            tokio::time::sleep(AWAY).await;
            assert!(raw(&address, &call("GetCallerIdentity")).await.starts_with("HTTP/1.1 200"));
        })
        .await;
    }

    #[tokio::test]
    async fn a_truncated_answer_announces_more_than_comes() {
        served(async |address| {
            control(&format!("http://{address}"), "set", "fail\nGetCallerIdentity\ntruncate\n1").await.unwrap();
            let answer = raw(&address, &call("GetCallerIdentity")).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            assert!(
                head.starts_with("HTTP/1.1 200") && length.is_some_and(|length: usize| length > body.len()),
                "{answer}"
            );
            assert!(body.contains("GetCallerIdentityResponse") && !body.contains("</GetCallerIdentityResponse>"));
        })
        .await;
    }

    #[tokio::test]
    async fn a_metadata_service_that_is_not_there_is_a_connection_that_ends() {
        served(async |address| {
            let request = format!("GET {}i-1/latest/meta-data HTTP/1.1\r\nHost: x\r\n\r\n", metadata::DOOR);
            assert_eq!(raw(&address, &request).await, "");
        })
        .await;
    }

    #[tokio::test]
    async fn a_body_larger_than_anything_modelled_is_refused() {
        served(async |address| {
            let (size, body) = (LARGEST_BODY + 1, "a".repeat(LARGEST_BODY + 1));
            let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
            assert!(raw(&address, &(head + &body)).await.starts_with("HTTP/1.1 413"));
        })
        .await;
    }
}
