//! Bodies as the SDKs send them: whole, or in chunks with a checksum behind them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use super::super::request::WireRequest;
use crate::sim::world::Refusal;

/// The bytes of a body, out of their chunks: `SIZE;…\r\nBYTES\r\n`, the last of size 0, trailers behind it.
pub(super) fn body(request: &WireRequest) -> Result<Vec<u8>, Refusal> {
    let chunked = request.header("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"))
        || request.header("x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-"));
    if !chunked {
        return Ok(request.body.to_vec());
    }
    let body = joined(&request.body).ok_or_else(|| {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header: a chunk has no size or is too short";
        Refusal::new("IncompleteBody", message)
    })?;
    let announced = request.header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length != body.len()) {
        let message =
            "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header";
        return Err(Refusal::new("IncompleteBody", message));
    }
    Ok(body)
}

fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_trailers_left_out() {
        let sent = b"4;chunk-signature=ab\r\nab\r\n\r\n3\r\ncde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        assert_eq!(joined(sent).unwrap(), b"ab\r\ncde");
        for broken in [&b"4\r\nab"[..], b"x\r\n", b"", b"2\r\nabcd\r\n0\r\n"] {
            assert_eq!(joined(broken), None, "{broken:?}");
        }
    }
}
