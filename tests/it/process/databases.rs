//! One private Postgres for all tests that run at the same time; the last one stops it.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use failoverd::sandbox::postgres::PrivatePostgres;
use tokio::sync::oneshot;

use crate::ports;

/// A server on a thread of its own: tests' threads come and go, and it must outlive them.
pub struct Databases {
    wishes: tokio::sync::mpsc::UnboundedSender<(String, oneshot::Sender<String>)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

static SHARED: Mutex<Weak<Databases>> = Mutex::new(Weak::new());

/// The shared server, started if nobody has it.
pub fn shared() -> Arc<Databases> {
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let databases = Arc::new(start());
        *shared = Arc::downgrade(&databases);
        databases
    })
}

fn start() -> Databases {
    let (wishes, wished) = tokio::sync::mpsc::unbounded_channel();
    let (ready, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(wished, ready));
    });
    started.recv().expect("a private postgres").unwrap();
    Databases { wishes, thread: Mutex::new(Some(thread)) }
}

async fn serve(
    mut wished: tokio::sync::mpsc::UnboundedReceiver<(String, oneshot::Sender<String>)>,
    ready: mpsc::Sender<Result<(), String>>,
) {
    let [port] = ports::free();
    let postgres = match PrivatePostgres::start(&std::env::temp_dir(), port).await {
        Ok(postgres) => postgres,
        Err(error) => return ready.send(Err(error.to_string())).unwrap(),
    };
    ready.send(Ok(())).unwrap();
    while let Some((name, answer)) = wished.recv().await {
        answer.send(postgres.database(&name).await.unwrap()).unwrap();
    }
    postgres.stop().await;
}

impl Databases {
    /// A new, empty database and its address.
    pub async fn new_database(&self, name: &str) -> String {
        let (answer, answered) = oneshot::channel();
        self.wishes.send((name.to_owned(), answer)).unwrap();
        answered.await.unwrap()
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let (closed, _) = tokio::sync::mpsc::unbounded_channel();
        drop(std::mem::replace(&mut self.wishes, closed));
        if let Some(thread) = self.thread.lock().unwrap().take() {
            let _ = thread.join();
        }
    }
}
