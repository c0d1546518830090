//! Pages of lists. A token says after which item to go on, so a page never shifts when items come or go before it; what
//! is in it is nobody's business but ours.

use tonic::Status;

use super::status;

/// Items where a client names no size.
const SIZE_DEFAULT: usize = 100;
/// Items at most, whatever a client names.
const SIZE_MAX: usize = 1000;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) size: usize,
    /// The key of the last item that the client has.
    pub(super) after: Option<String>,
}

/// Items at most for a size that a client named.
pub(super) fn size(asked: i32) -> Result<usize, Status> {
    let size = usize::try_from(asked).map_err(|_| status::invalid("page_size", "must not be negative"))?;
    Ok(if size == 0 { SIZE_DEFAULT } else { size.min(SIZE_MAX) })
}

impl Page {
    pub(super) fn new(page_size: i32, page_token: &str) -> Result<Self, Status> {
        let after = if page_token.is_empty() {
            None
        } else {
            Some(decode(page_token)?)
        };
        Ok(Self {
            size: size(page_size)?,
            after,
        })
    }

    /// Takes a page from items that begin behind [`Page::after`], and the token for the next.
    pub(super) fn take<T>(&self, items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let mut items = items.into_iter();
        let page: Vec<T> = items.by_ref().take(self.size).collect();
        let more = items.next().is_some();
        let token = page
            .last()
            .filter(|_| more)
            .map(|last| hex::encode(key(last)))
            .unwrap_or_default();
        (page, token)
    }
}

fn decode(token: &str) -> Result<String, Status> {
    let key = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| status::invalid("page_token", "is not one that a list has given; begin without one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_without_gap_or_repeat() {
        let all: Vec<u32> = (10..20).collect();
        let mut token = String::new();
        let mut seen: Vec<&u32> = Vec::new();
        loop {
            let page = Page::new(4, &token).unwrap();
            let after = page.after.clone();
            let rest = all
                .iter()
                .filter(|n| after.as_ref().is_none_or(|after| n.to_string() > *after));
            let (items, next) = page.take(rest, |n| n.to_string());
            assert!(items.len() <= 4);
            seen.extend(items);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, all.iter().collect::<Vec<_>>());
    }

    #[test]
    fn sizes_are_bounded_and_made_up_tokens_refused() {
        assert_eq!(
            (size(0).unwrap(), size(7).unwrap(), size(i32::MAX).unwrap()),
            (100, 7, 1000)
        );
        assert!(size(-1).is_err());
        assert!(Page::new(0, "zz").is_err() && Page::new(0, "ff").is_err());
    }
}
