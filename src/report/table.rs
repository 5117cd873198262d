//! Tables for people: plain columns, no frames, so that they can be cut and grepped.

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};

/// A table with these headings; a row has as many cells.
#[must_use]
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>, color: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let heading = |text: &&str| {
        let cell = Cell::new(text.to_uppercase());
        if color { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(headings.iter().map(heading));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
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
}
