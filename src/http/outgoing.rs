//! The request body that tells how far it got, so that a broken connection can be told apart: before the whole request was
//! handed over the server cannot have acted on it, after that it may have. It decides nothing itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Handed to the connection at a time. Small against the socket's buffer, so that the last piece of a large body is taken
/// only when most of it is on its way.
const PIECE: usize = 64 << 10;

/// How far a request got; shared with its body, which lives inside the HTTP client.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: Mutex<Option<Instant>>,
    whole: AtomicBool,
}

impl Progress {
    /// When the connection last took a piece of the request; None while there is no connection yet.
    pub(super) fn moved(&self) -> Option<Instant> {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection took all of it. The server may have it, or the operating system's buffers.
    pub(super) fn whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    fn step(&self, whole: bool) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if whole {
            self.whole.store(true, Ordering::Release);
        }
    }
}

/// A body of known length. The bytes that it was given are those that the connection gets: nothing is copied on the way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pieces: std::vec::IntoIter<Bytes>,
    /// The piece in hand.
    piece: Bytes,
    left: u64,
    empty: bool,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(super) fn new(pieces: Vec<Bytes>, progress: Arc<Progress>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self {
            empty: left == 0,
            left,
            piece: Bytes::new(),
            pieces: pieces.into_iter(),
            progress,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        while self.piece.is_empty() {
            let Some(next) = self.pieces.next() else {
                return Poll::Ready(None);
            };
            self.piece = next;
        }
        let length = self.piece.len().min(PIECE);
        let piece = self.piece.split_to(length);
        self.left -= length as u64;
        self.progress.step(self.left == 0);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for Outgoing {
    /// An empty body is never asked for a piece: the connection drops it when it writes the request's head.
    fn drop(&mut self) {
        if self.empty {
            self.progress.step(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(body: &mut Outgoing) -> Option<usize> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap().len()),
            Poll::Pending => unreachable!(),
        }
    }

    #[test]
    fn it_is_whole_with_its_last_piece() {
        let progress = Arc::new(Progress::default());
        let mut body = Outgoing::new(vec![Bytes::from(vec![0; PIECE + 1])], Arc::clone(&progress));
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        assert_eq!(progress.moved(), None);
        assert_eq!(next(&mut body), Some(PIECE));
        assert!(progress.moved().is_some());
        assert!(!progress.whole());
        assert_eq!(next(&mut body), Some(1));
        assert!(progress.whole());
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body), None);
    }

    /// Each attempt asks for the pieces anew; what the connection gets are the rows as they were submitted, not copies.
    #[test]
    fn a_row_is_handed_over_where_it_lies() {
        let row = Bytes::from(vec![b'x'; 2 * PIECE]);
        for _ in 0..2 {
            let pieces = vec![Bytes::from_static(b"["), row.clone(), Bytes::from_static(b"]")];
            let mut body = Outgoing::new(pieces, Arc::default());
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut places = Vec::new();
            while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
                places.push(frame.unwrap().into_data().unwrap().as_ptr());
            }
            assert_eq!(places[1..3], [row.as_ptr(), row[PIECE..].as_ptr()]);
            assert_eq!(places.len(), 4);
        }
    }

    #[test]
    fn a_dropped_body_is_whole_only_if_it_was_empty() {
        let progress = Arc::new(Progress::default());
        drop(Outgoing::new(vec![Bytes::from_static(b"x")], Arc::clone(&progress)));
        assert!(!progress.whole());
        drop(Outgoing::new(Vec::new(), Arc::clone(&progress)));
        assert!(progress.whole());
    }
}
