//! What the bindings have no safe way for: to ask for the id that Kafka gave a
//! topic when it was made (one that is deleted and made again under its name has
//! another), and to tell a client once more where the brokers are.
//!
//! This is the only file of the project that speaks C; everything that C hands out
//! is owned by an [`Owned`] from the line on which it is handed out.
#![expect(unsafe_code, reason = "the safe bindings do not offer it")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;

/// What the brokers, or this side of the connection, hold against the question.
pub(super) type Refusal = RDKafkaErrorCode;

/// How much longer than the question itself its answer is waited for.
const SLACK: Duration = Duration::from_secs(1);

/// The id of a topic that has none: the brokers are too old.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Tells `client` again of `brokers`, `host:port` with commas between; of those
/// that it knows, it knows already.
///
/// A broker that was just started may answer that the cluster has no brokers.
/// librdkafka 2.12 then forgets all that it knew, those of the
/// configuration too, and never asks anybody again
/// (<https://github.com/confluentinc/librdkafka/issues/5301>). So whoever has
/// trouble with a client says this to it.
pub(super) fn remind<C: ClientContext>(client: &Client<C>, brokers: &str) {
    // A name with a zero in it is no broker's.
    let Ok(brokers) = CString::new(brokers) else { return };
    // SAFETY: the client is live, and may be told from any thread; `brokers` is a
    // C string, of which it keeps a copy.
    unsafe { c::rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
}

/// Asks for the id of `topic`, as Kafka's own tools show it, and waits up to
/// `wait`. `None`: the brokers are so old that their topics have no ids.
///
/// # Errors
///
/// There is no such topic, it may not be looked at, or nobody answered.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait: Duration,
) -> Result<Option<String>, Refusal> {
    let name = CString::new(topic).map_err(|_| Refusal::InvalidTopic)?;
    let mut names = [name.as_ptr()];
    let rk = client.native_ptr();

    // Of what follows, each lives until the end of this function and is then
    // destroyed in the reverse order: the event before the queue that it came
    // from, and all of them before the client, which is borrowed.

    // SAFETY: `names` has one element, a C string that lives as long as `name`;
    // the collection copies it.
    let topics = unsafe {
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        Owned::new(topics, c::rd_kafka_TopicCollection_destroy)
    }?;
    // SAFETY: `rk` is a live client.
    let options = unsafe {
        let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = c::rd_kafka_AdminOptions_new(rk, operation);
        Owned::new(options, c::rd_kafka_AdminOptions_destroy)
    }?;
    // SAFETY: `options` is live; a null buffer of no bytes gets no text.
    let refused = unsafe {
        let at_most = c_millis(wait);
        let options = options.as_ptr();
        c::rd_kafka_AdminOptions_set_request_timeout(options, at_most, ptr::null_mut(), 0)
    };
    ok(refused)?;
    // SAFETY: `rk` is a live client.
    let queue = unsafe { Owned::new(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy) }?;
    // SAFETY: all four are live; the call copies what it keeps, and counts its
    // own reference to the queue.
    unsafe { c::rd_kafka_DescribeTopics(rk, topics.as_ptr(), options.as_ptr(), queue.as_ptr()) };
    // SAFETY: `queue` is live; an event that it gives is the caller's to destroy.
    let event = unsafe {
        let event = c::rd_kafka_queue_poll(queue.as_ptr(), c_millis(wait + SLACK));
        if event.is_null() {
            return Err(Refusal::OperationTimedOut);
        }
        Owned::new(event, c::rd_kafka_event_destroy)
    }?;
    // SAFETY: `event` is live.
    ok(unsafe { c::rd_kafka_event_error(event.as_ptr()) })?;

    // What is read from here on belongs to `event`, which outlives it.

    // SAFETY: `event` is live; it gives null unless it is the answer to this
    // question, and then an array of `count` descriptions.
    let description = unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Err(Refusal::BadMessage);
        }
        let mut count = 0;
        let descriptions = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if descriptions.is_null() || count == 0 {
            return Err(Refusal::UnknownTopic);
        }
        *descriptions
    };
    // SAFETY: `description` is one of the answer's; its error may be null, which
    // is no error, as `rd_kafka_error_code` says of null too.
    ok(unsafe { c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(description)) })?;
    // SAFETY: as above; a description without an error has an id, whose text is a
    // C string in the id itself.
    let id = unsafe {
        let id = c::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Err(Refusal::UnknownTopicId);
        }
        let text = c::rd_kafka_Uuid_base64str(id);
        if text.is_null() {
            return Err(Refusal::UnknownTopicId);
        }
        CStr::from_ptr::<'_>(text.cast::<c_char>()).to_string_lossy()
    };
    // Kafka's tools show ids in the alphabet for URLs.
    Ok((id != NO_ID).then(|| id.replace('+', "-").replace('/', "_")))
}

fn ok(error: c::rd_kafka_resp_err_t) -> Result<(), Refusal> {
    match error {
        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        error => Err(error.into()),
    }
}

fn c_millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

/// Something of librdkafka's that is destroyed when this is dropped.
struct Owned<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Owns `object`; if it is null, librdkafka had no memory for it.
    ///
    /// # Safety
    ///
    /// Unless it is null, `object` is live, and nobody else destroys it;
    /// `destroy` is how.
    unsafe fn new(
        object: *mut T,
        destroy: unsafe extern "C" fn(*mut T),
    ) -> Result<Owned<T>, Refusal> {
        let object = NonNull::new(object).ok_or(Refusal::CriticalSystemResource)?;
        Ok(Owned { object, destroy })
    }

    fn as_ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: what `new` demands; and this runs once.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

#[cfg(test)]
mod tests;
