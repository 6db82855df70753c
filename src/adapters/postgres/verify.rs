//! Walking the whole chain, a page at a time, while others write and retention removes.

use futures_util::TryStreamExt;

use crate::ports::{Anchor, HistoryError, Verified};

use super::history::{Failed, PostgresHistory, anchor, read, stored};

/// Rows checked by one statement, which keeps a long chain within the time limit of a statement.
const PAGE: i64 = 2_000;

/// Walks from the anchor to the newest event. What retention removes under our feet is no fault: then again.
pub(super) async fn whole(history: &PostgresHistory) -> Result<Verified, HistoryError> {
    let mut begin = newest_anchor(history).await?;
    loop {
        let walked = walk(history, begin.clone()).await;
        let Err(HistoryError::Contradiction(_)) = &walked else { return walked };
        let now = newest_anchor(history).await?;
        if now == begin {
            return walked;
        }
        begin = now;
    }
}

async fn newest_anchor(history: &PostgresHistory) -> Result<Option<Anchor>, HistoryError> {
    history.call(async { anchor(&mut *history.pool.acquire().await?).await }).await
}

async fn walk(history: &PostgresHistory, begin: Option<Anchor>) -> Result<Verified, HistoryError> {
    let mut walked = Verified::begin(begin);
    // The first page begins at the very beginning: nothing may stand where retention says that it removed.
    let mut after = 0;
    while history.call(page(history, after, &mut walked)).await? {
        after = stored(walked.head.seq);
    }
    Ok(walked)
}

/// Walks over the rows after `after`; false when there are none.
async fn page(history: &PostgresHistory, after: i64, walked: &mut Verified) -> Result<bool, Failed> {
    let mut rows = sqlx::query("select seq, event from history_event where seq > $1 order by seq limit $2")
        .bind(after)
        .bind(PAGE)
        .fetch(&history.pool);
    let mut any = false;
    while let Some(row) = rows.try_next().await? {
        // Rows are named by the database's number: a changed text may say another one, or none.
        let seq = sqlx::Row::try_get::<i64, _>(&row, "seq")?.unsigned_abs();
        let due = walked.head.seq + 1;
        if seq > due {
            let why = format!("event {due} is missing (found {seq} after {})", walked.head.seq);
            return Err(HistoryError::Contradiction(why).into());
        }
        walked.walk(&read(&row)?)?;
        any = true;
    }
    Ok(any)
}
