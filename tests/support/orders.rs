//! What a scenario tells the small agent to answer, in the argument `do` of a message.
//!
//! Orders are separated by `;`:
//!
//! | order | answer |
//! |---|---|
//! | `set SCOPE.NAME TYPE VALUE` | a SET-VAR; TYPE as in SPOE.txt §3.1: `null bool int32 uint32 int64 uint64 ipv4 ipv6 string binary` |
//! | `unset SCOPE.NAME` | an UNSET-VAR |
//! | `raw HEX` | these bytes as actions |
//! | `nothing` | no action, not even the usual ones before it |
//! | `silence` | no answer at all |
//! | `close` | the connection ends |
//! | `disconnect CODE` | AGENT-DISCONNECT, and the end |
//! | `astray` | first the answer to a question that was not asked |
//! | `frame KIND FLAGS` | first a frame of this kind with the question's ids and no payload |

use std::net::{Ipv4Addr, Ipv6Addr};

use super::agent::{string, varint};

/// One order, ready to be carried out.
#[derive(Debug, PartialEq)]
pub(crate) enum Order {
    /// Encoded actions.
    Actions(Vec<u8>),
    /// Forget the actions so far.
    Nothing,
    /// No answer.
    Silence,
    /// End the connection.
    Close,
    /// Say AGENT-DISCONNECT with this code.
    Disconnect(u64),
    /// An answer to something else before the answer.
    Astray,
    /// A frame before the answer: kind, flags.
    Frame(u8, u8),
}

/// Reads orders.
///
/// # Errors
/// The order that cannot be understood.
pub(crate) fn parse(text: &str) -> Result<Vec<Order>, String> {
    let orders = text.split(';').map(str::trim).filter(|order| !order.is_empty());
    orders.map(|order| one(order).ok_or_else(|| format!("no such order: {order:?}"))).collect()
}

fn one(order: &str) -> Option<Order> {
    let words: Vec<&str> = order.split_whitespace().collect();
    Some(match words[..] {
        ["set", variable, kind, ref value @ ..] => {
            let mut out = vec![1, 3];
            name(&mut out, variable)?;
            typed(&mut out, kind, &value.join(" "))?;
            Order::Actions(out)
        }
        ["unset", variable] => {
            let mut out = vec![2, 2];
            name(&mut out, variable)?;
            Order::Actions(out)
        }
        ["raw", hex] => Order::Actions(unhex(hex)?),
        ["nothing"] => Order::Nothing,
        ["silence"] => Order::Silence,
        ["astray"] => Order::Astray,
        ["close"] => Order::Close,
        ["disconnect", code] => Order::Disconnect(code.parse().ok()?),
        ["frame", kind, flags] => Order::Frame(kind.parse().ok()?, flags.parse().ok()?),
        _ => return None,
    })
}

fn name(out: &mut Vec<u8>, variable: &str) -> Option<()> {
    let (scope, name) = variable.split_once('.')?;
    let scope = ["proc", "sess", "txn", "req", "res"].iter().position(|known| *known == scope)?;
    out.push(scope as u8);
    string(out, name.as_bytes());
    Some(())
}

fn typed(out: &mut Vec<u8>, kind: &str, value: &str) -> Option<()> {
    const KINDS: [&str; 10] =
        ["null", "bool", "int32", "uint32", "int64", "uint64", "ipv4", "ipv6", "string", "binary"];
    let code = KINDS.iter().position(|known| *known == kind)? as u8;
    let truth = u8::from(kind == "bool" && value == "true") << 4;
    out.push(code | truth);
    match kind {
        "null" | "bool" => {}
        "ipv4" => out.extend(value.parse::<Ipv4Addr>().ok()?.octets()),
        "ipv6" => out.extend(value.parse::<Ipv6Addr>().ok()?.octets()),
        "string" => string(out, value.as_bytes()),
        "binary" => string(out, &unhex(value)?),
        "uint64" => varint(out, value.parse().ok()?),
        _ => varint(out, value.parse::<i64>().ok()? as u64),
    }
    Some(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Order, parse};

    #[test]
    fn orders_become_the_bytes_of_actions() {
        let orders = parse("set txn.x int32 5; unset txn.x ;raw 00ff; disconnect 99").unwrap();
        let bytes = |bytes: &[u8]| Order::Actions(bytes.to_vec());
        assert_eq!(
            orders,
            [
                bytes(&[1, 3, 2, 1, b'x', 2, 5]),
                bytes(&[2, 2, 2, 1, b'x']),
                bytes(&[0, 255]),
                Order::Disconnect(99)
            ]
        );
        assert_eq!(parse("set txn.x float 5").unwrap_err(), "no such order: \"set txn.x float 5\"");
    }
}
