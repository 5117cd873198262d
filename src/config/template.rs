//! What `init` writes: files that work as they stand and show everything that could stand there.

/// A commented `spotctl.yaml` for the stack `name`.
#[must_use]
pub fn template(name: &str) -> String {
    let text = include_str!("../../templates/spotctl.yaml");
    // The two places that hold the name keep their comments in line where the name leaves room.
    text.lines().map(|line| named(line, name) + "\n").collect()
}

fn named(line: &str, name: &str) -> String {
    const PLACE: &str = "worker-gpu";
    let Some((before, after)) = line.split_once(PLACE) else { return line.to_owned() };
    let comment = after.trim_start();
    let room = (PLACE.len() + after.len() - comment.len()).saturating_sub(name.len()).max(1);
    format!("{before}{name}{}{comment}", " ".repeat(room))
}

/// A `.env` sample; nothing in it but comments.
#[must_use]
pub fn env_template() -> &'static str {
    include_str!("../../templates/env")
}
