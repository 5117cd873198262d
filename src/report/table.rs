//! Tables for people: plain columns, no frames, so that they can be cut and grepped.

use comfy_table::{ContentArrangement, Table, presets};

use crate::ui::legible::{self, Look, marked};

/// A table with these headings; a row has as many cells.
#[must_use]
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>, color: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    // The look comes afterwards: a table counts columns, not marks.
    table.force_no_tty();
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| legible::line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    if let Some(headings) = lines.first_mut().filter(|_| color) {
        *headings = marked(Look::Heading, headings);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_ends() {
        let rows = [vec!["i-1".to_owned(), "running".to_owned()], vec!["i-22".to_owned(), String::new()]];
        assert_eq!(table(&["id", "state"], rows, false), "ID    STATE\ni-1   running\ni-22\n");
    }

    #[test]
    fn a_value_stays_in_its_row_and_has_no_look_of_its_own() {
        let rows = [vec!["a\nb\u{1b}[1m".to_owned(), "c".to_owned()]];
        let shown = legible::report(&table(&["id", "x"], rows, true), true);
        assert_eq!(shown, "\u{1b}[1mID            X\u{1b}[0m\na b\\u{1b}[1m  c\n");
    }
}
