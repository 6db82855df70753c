//! Names and texts that must have a certain form, as readers of one field.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::field::Field;

/// Longest name of a service, store, signal or switch group.
const MAX_NAME: usize = 40;

/// Lower-case letters, digits and dashes, not at the ends; at most 40.
#[must_use]
pub fn name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if text.len() > MAX_NAME || !inner || text.starts_with('-') || text.ends_with('-') {
        return field.refuse(format!(
            "{text:?} is not a name: use lower-case letters, digits and dashes (not at the ends), at most {MAX_NAME} characters"
        ));
    }
    Some(text)
}

/// A DNS name, in lower case and without the trailing dot.
#[must_use]
pub fn dns_name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let name = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
    if !is_dns_name(&name) {
        return field.refuse(format!("{text:?} is not a DNS name"));
    }
    Some(name)
}

/// Whether the text is a DNS name of at least two labels, as Route 53 takes them.
#[must_use]
pub fn is_dns_name(name: &str) -> bool {
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && !is_dotted_number(name)
}

/// Whether the text can stand as a host in a URL: a name of any number of labels, or an address.
#[must_use]
pub fn is_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None if is_dotted_number(host) => host.parse::<Ipv4Addr>().is_ok(),
        None => host.len() <= 253 && host.to_ascii_lowercase().split('.').all(is_label),
    }
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
}

fn is_dotted_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `host:port`.
///
/// # Errors
/// What is wrong with it.
pub fn check_host_port(text: &str) -> Result<(), String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port: write host:port"))?;
    if !is_host(host) {
        return Err(format!("{host:?} is not a host"));
    }
    check_port(port)
}

fn check_port(port: &str) -> Result<(), String> {
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("{port:?} is not a port (1 to 65535)")),
    }
}

/// An HTTP or HTTPS URL without credentials.
///
/// # Errors
/// What is wrong with it.
pub fn check_http_url(url: &str) -> Result<(), String> {
    let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else {
        return Err(format!("{url:?} is not a URL that starts with http:// or https://"));
    };
    if url.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        return Err(format!("{url:?} has characters that a URL must not have: percent-encode them"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(format!("must not carry credentials: write {scheme}://host/…"));
    }
    if is_host(authority) {
        return Ok(());
    }
    check_host_port(authority).map_err(|why| format!("{url:?}: {why}"))
}

/// A template whose only placeholder is `{region}`, checked with a Region filled in.
pub fn template(field: &Field<'_>, check: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
    let text = field.text()?;
    let filled = text.replace("{region}", "us-east-1");
    if filled.contains(['{', '}']) {
        return field.refuse(format!("{text:?} has a placeholder other than {{region}}, the only one known here"));
    }
    match check(&filled) {
        Ok(()) => Some(text),
        Err(why) => field.refuse(why),
    }
}

/// An IAM role's ARN.
#[must_use]
pub fn role_arn(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !text.starts_with("arn:aws") || !text.contains(":role/") {
        return field.refuse(format!("{text:?} is not the ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"));
    }
    Some(text)
}

/// The name of an environment variable.
#[must_use]
pub fn variable(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !inner || text.starts_with(|c: char| c.is_ascii_digit()) {
        return field.refuse(format!(
            "{text:?} is not the name of an environment variable: name the variable that holds the DSN"
        ));
    }
    Some(text)
}

/// Text of an AWS resource's name: no spaces, bounded.
#[must_use]
pub fn resource(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() > 255 || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return field.refuse(format!("{text:?} is not the name of an AWS resource: no spaces, at most 255 characters"));
    }
    Some(text)
}
