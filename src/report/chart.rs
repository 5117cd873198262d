//! A chart of price histories, as an SVG that stands alone: quick-xml writes it, so every value is escaped. Pure: who wants a
//! file writes one.
//!
//! A price holds until the next, so lines are steps, not slopes. The vertical axis begins below the cheapest price, not at
//! nothing, or the small moves that Spot prices make would not show; its ticks say where.

use std::fmt::Write;

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use crate::decide::stability::Point;
use crate::spec::Usd;
use crate::ui::legible;

/// More lines than this nobody can tell apart.
pub const LINES: usize = 10;

/// One pool.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its prices, oldest first.
    pub points: Vec<Point>,
}

/// Colours that differ in brightness too (Okabe and Ito's, without the yellow that a light ground swallows, then darker ones).
const COLORS: [&str; LINES] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00", "#7b3294", "#8c510a", "#4d4d4d"];

// The picture, in its own units.
const WIDTH: i64 = 1200;
const HEIGHT: i64 = 600;
const LEFT: i64 = 90;
const RIGHT: i64 = 880;
const TOP: i64 = 70;
const BOTTOM: i64 = 530;

/// What is drawn in which range of prices and times.
struct Frame {
    low: i64,
    high: i64,
    tick: i64,
    since: i64,
    until: i64,
}

impl Frame {
    fn new(lines: &[Line], since: Timestamp, until: Timestamp) -> Self {
        let prices = || lines.iter().flat_map(|line| &line.points).map(|(_, price)| price.micros());
        let (low, high) = (prices().min().unwrap_or_default(), prices().max().unwrap_or_default());
        let tick = tick((high - low).max(high / 20));
        let (low, high) = (low.div_euclid(tick) * tick, (high.div_euclid(tick) + 1) * tick);
        let since = since.as_second();
        Self { low, high, tick, since, until: until.as_second().max(since + 1) }
    }

    fn x(&self, at: i64) -> String {
        let at = at.clamp(self.since, self.until);
        tenths(LEFT * 10 + (at - self.since) * (RIGHT - LEFT) * 10 / (self.until - self.since))
    }

    fn y(&self, price: i64) -> String {
        let above = i128::from(price - self.low) * i128::from((BOTTOM - TOP) * 10) / i128::from(self.high - self.low);
        tenths(BOTTOM * 10 - i64::try_from(above).unwrap_or_default())
    }
}

fn tenths(length: i64) -> String {
    format!("{}.{}", length / 10, length % 10)
}

/// 1, 2 or 5 times a power of ten, so that some six ticks fill the range; never below a hundredth of a cent, AWS's own step.
fn tick(range: i64) -> i64 {
    let mut power = 100;
    loop {
        for times in [1, 2, 5] {
            if range / (power * times) <= 6 {
                return power * times;
            }
        }
        power *= 10;
    }
}

/// Hours between two marks of the time axis, so that at most eight are drawn.
fn hours_apart(seconds: i64) -> i64 {
    const HOURS: [i64; 9] = [1, 3, 6, 12, 24, 48, 7 * 24, 14 * 24, 28 * 24];
    HOURS.into_iter().find(|hours| seconds / (hours * 3600) <= 8).unwrap_or(HOURS[HOURS.len() - 1])
}

/// Draws the first [`LINES`] of the lines between two moments.
#[must_use]
pub fn svg(lines: &[Line], since: Timestamp, until: Timestamp) -> String {
    let lines = &lines[..lines.len().min(LINES)];
    let frame = Frame::new(lines, since, until);
    let mut svg = Svg(Writer::new_with_indent(Vec::new(), b' ', 1));
    svg.open(
        "svg",
        &[
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("viewBox", &format!("0 0 {WIDTH} {HEIGHT}")),
            ("width", &WIDTH.to_string()),
            ("height", &HEIGHT.to_string()),
            ("font-family", "Helvetica, Arial, sans-serif"),
            ("font-size", "15"),
            ("role", "img"),
        ],
    );
    let day = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
    let title = format!("Spot prices from {} to {} UTC", day(since), day(until));
    svg.leaf("title", &[], &title);
    svg.leaf("rect", &[("width", "100%"), ("height", "100%"), ("fill", "#ffffff")], "");
    svg.text((LEFT, 32), &[("font-size", "20"), ("fill", "#222222")], &title);
    svg.text((LEFT, 56), &[("fill", "#555555")], "USD an hour, Linux");
    prices(&mut svg, &frame);
    times(&mut svg, &frame);
    for (number, (line, color)) in lines.iter().zip(COLORS).enumerate() {
        // The second five are dashed: colour alone does not carry a name.
        let dash = if number < LINES / 2 { "none" } else { "7 4" };
        let stroke = [("fill", "none"), ("stroke", color), ("stroke-width", "2.5"), ("stroke-dasharray", dash)];
        let drawn = path(line, &frame);
        svg.leaf("path", &[&stroke[..], &[("d", drawn.as_str())]].concat(), "");
        let y = TOP + 10 + 26 * i64::try_from(number).unwrap_or_default();
        let swatch = format!("M{} {y}h28", RIGHT + 24);
        svg.leaf("path", &[&stroke[..], &[("d", swatch.as_str())]].concat(), "");
        let now = line.points.last().map_or_else(String::new, |(_, price)| format!(": {price}"));
        svg.text((RIGHT + 62, y + 5), &[("fill", "#222222")], &format!("{}{now}", legible::line(&line.name)));
    }
    svg.close("svg");
    svg.finish()
}

fn prices(svg: &mut Svg, frame: &Frame) {
    let mut price = frame.low;
    while price <= frame.high {
        let y = frame.y(price);
        let (left, right) = (LEFT.to_string(), RIGHT.to_string());
        svg.leaf("line", &[("x1", &left), ("x2", &right), ("y1", &y), ("y2", &y), ("stroke", "#dddddd")], "");
        let label = Usd::from_micros(price).to_string();
        let beside = (LEFT - 10).to_string();
        let ends = [("x", beside.as_str()), ("y", &y), ("dy", "5"), ("text-anchor", "end"), ("fill", "#555555")];
        svg.leaf("text", &ends, &label);
        price += frame.tick;
    }
}

fn times(svg: &mut Svg, frame: &Frame) {
    let hours = hours_apart(frame.until - frame.since);
    let step = hours * 3600;
    let mut at = frame.since.div_euclid(step) * step + step;
    if at - step == frame.since {
        at = frame.since;
    }
    let bottom = BOTTOM.to_string();
    while at <= frame.until {
        let x = frame.x(at);
        let below = (BOTTOM + 7).to_string();
        svg.leaf("line", &[("x1", &x), ("x2", &x), ("y1", &bottom), ("y2", &below), ("stroke", "#888888")], "");
        let format = if hours < 24 { "%d %b %H:%M" } else { "%d %b" };
        let label = Timestamp::from_second(at).map_or_else(|_| String::new(), |at| at.strftime(format).to_string());
        let under = (BOTTOM + 27).to_string();
        svg.leaf("text", &[("x", &x), ("y", &under), ("text-anchor", "middle"), ("fill", "#555555")], &label);
        at += step;
    }
    let (left, right) = (LEFT.to_string(), RIGHT.to_string());
    svg.leaf("line", &[("x1", &left), ("x2", &right), ("y1", &bottom), ("y2", &bottom), ("stroke", "#888888")], "");
    svg.text((RIGHT + 24, BOTTOM + 27), &[("fill", "#555555")], "UTC");
}

/// Steps from the first price that is known to the end.
fn path(line: &Line, frame: &Frame) -> String {
    let mut drawn = String::new();
    for (at, price) in &line.points {
        let (x, y) = (frame.x(at.as_second()), frame.y(price.micros()));
        let _ = if drawn.is_empty() { write!(drawn, "M{x} {y}") } else { write!(drawn, "H{x}V{y}") };
    }
    if !drawn.is_empty() {
        let _ = write!(drawn, "H{}", frame.x(frame.until));
    }
    drawn
}

/// The document as it grows. Writing into memory does not fail.
struct Svg(Writer<Vec<u8>>);

impl Svg {
    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        let _ = self.0.write_event(Event::Start(start));
    }

    fn close(&mut self, name: &str) {
        let _ = self.0.write_event(Event::End(BytesEnd::new(name)));
    }

    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        if text.is_empty() {
            let empty = BytesStart::new(name).with_attributes(attributes.iter().copied());
            let _ = self.0.write_event(Event::Empty(empty));
            return;
        }
        self.open(name, attributes);
        let _ = self.0.write_event(Event::Text(BytesText::new(text)));
        self.close(name);
    }

    fn text(&mut self, (x, y): (i64, i64), attributes: &[(&str, &str)], text: &str) {
        let (x, y) = (x.to_string(), y.to_string());
        self.leaf("text", &[&[("x", x.as_str()), ("y", y.as_str())][..], attributes].concat(), text);
    }

    fn finish(self) -> String {
        let mut text = String::from_utf8(self.0.into_inner()).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_prices_at_any_time_are_a_well_formed_chart(
            name in "(\\PC|[\u{0}-\u{ff}]){0,10}",
            mut points in prop::collection::vec((-400_000_000_i64..9_000_000_000, prop_oneof![0_i64..10_000_000, 0..=1_000_000_000_000_000_i64]), 0..6),
            hours in 0_i64..2_400,
        ) {
            points.sort_unstable();
            let points = points.iter().map(|(at, micros)| (Timestamp::from_second(*at).unwrap(), Usd::from_micros(*micros)));
            let line = Line { name, points: points.collect() };
            let svg = svg(&[line], at(500_000), at(500_000 + hours));
            // XML has no form for a control character.
            prop_assert!(legible::tests::is_legible(&svg), "{:?}", svg);
            let (names, _) = read(&svg);
            prop_assert!(names.len() < 100);
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn line(name: &str, prices: &[(i64, i64)]) -> Line {
        let points = prices.iter().map(|(hour, micros)| (at(*hour), Usd::from_micros(*micros))).collect();
        Line { name: name.to_owned(), points }
    }

    /// How often each element occurs, and all texts; panics where the document is not well-formed.
    fn read(svg: &str) -> (Vec<String>, Vec<String>) {
        let mut reader = Reader::from_str(svg);
        reader.config_mut().check_end_names = true;
        let (mut names, mut texts) = (Vec::new(), Vec::new());
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) | Event::Empty(start) => {
                    start.attributes().for_each(|attribute| drop(attribute.unwrap()));
                    names.push(start.name().as_ref().to_owned());
                }
                Event::Text(text) => texts.push(text.trim().to_owned()),
                Event::Eof => return (names, texts),
                _ => {}
            }
        }
    }

    #[test]
    fn a_line_is_steps_that_hold_until_the_next_price_and_to_the_end() {
        let one = line("g4dn.xlarge us-east-1a", &[(-5, 100_000), (12, 200_000)]);
        let svg = svg(&[one], at(0), at(24));
        // The frame is 0.10 to 0.22; what held before the beginning begins with it.
        assert!(svg.contains(r#"d="M90.0 530.0H485.0V146.7H880.0""#), "{svg}");
        let (_, texts) = read(&svg);
        for wanted in ["USD an hour, Linux", "0.10", "0.20", "01 Jan 12:00", "UTC"] {
            assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
        }
        assert!(texts.iter().any(|text| text.starts_with("g4dn.xlarge us-east-1a: 0.20")), "{texts:?}");
    }

    #[test]
    fn a_name_is_escaped_and_the_document_stays_well_formed() {
        let svg = svg(&[line(r#"<&">' ]]>"#, &[(0, 1)])], at(0), at(1));
        read(&svg);
        assert!(svg.contains("&lt;&amp;") && !svg.contains("<&"), "{svg}");
    }

    #[test]
    fn ten_lines_at_most_are_drawn_each_with_its_own_look() {
        let lines: Vec<Line> = (1..20).map(|number| line("x", &[(0, number * 1000)])).collect();
        let (names, _) = read(&svg(&lines, at(0), at(24)));
        // The line and its swatch.
        assert_eq!(names.iter().filter(|name| *name == "path").count(), 2 * LINES);
    }

    #[test]
    fn the_axes_have_few_ticks_whatever_the_range() {
        for prices in [&[(0, 157_800)][..], &[(0, 0), (1, 1)], &[(0, 100), (1, 113_000_000)], &[], &[(0, 0)]] {
            for hours in [0, 1, 36, 7 * 24, 90 * 24] {
                let svg = svg(&[line("x", prices)], at(0), at(hours));
                let (names, texts) = read(&svg);
                let ticks = names.iter().filter(|name| *name == "line").count();
                assert!((3..=20).contains(&ticks), "{prices:?} {hours}: {ticks} {texts:?}");
            }
        }
    }
}
