//! The profile that is meant where a scenario names none: Auxot intake webhooks.

use crate::scenario::{
    BodyForm, IdSource, Pointer, PollShape, Profile, ResetForm, SubmitShape, SyncAnswer,
    TerminalRule,
};
use crate::time::Span;

impl Default for Profile {
    /// `POST /v1/intake/{intake_id}` is answered `202 {"work_id": ..}`; the work is asked for below
    /// the same path, and says `status`.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().copied().map(Into::into).collect();
        Self {
            submit: SubmitShape {
                method: "POST".into(),
                path: "/v1/intake/{intake_id}".into(),
                form: BodyForm::Json,
                accept: vec![202],
                accept_if: None,
                id: IdSource::Body(Pointer("/work_id".into())),
                poll_url: None,
                sync: SyncAnswer::Never,
            },
            poll: PollShape::Path("/v1/intake/{intake_id}/work/{work_id}".into()),
            terminal: TerminalRule::Word {
                pointer: Pointer("/status".into()),
                completed: words(&["completed"]),
                failed: words(&["failed"]),
                open: words(&["pending", "running"]),
            },
            begun: vec!["running".into()],
            failed_if: None,
            finished_at: None,
            denied: vec![404],
            gone: vec![410],
            key_header: "Authorization".into(),
            key_form: "Bearer {key}".into(),
            reset: ResetForm::Guess,
            max_retry_after: Span::from_secs(300),
        }
    }
}
