//! What the layout draws on: SVG that every viewer shows the same. The one that `layout-rs` brings leaves its arrowheads to
//! the newest browsers, cuts labels at the right edge and draws ways across labels and states.

use std::{collections::BTreeMap, fmt::Write as _};

use layout::core::{
    color::Color,
    format::{ClipHandle, RenderBackend},
    geometry::Point,
    style::StyleAttr,
};

/// Around everything.
const MARGIN: f64 = 10.;
const HEAD_LENGTH: f64 = 9.;
const HEAD_WIDTH: f64 = 6.;
/// Of a character, in shares of its height.
pub(super) const CHAR_WIDTH: f64 = 0.6;

/// In layers: the layout draws in an order of its own, and what is read must be on top.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    ways: String,
    shapes: String,
    texts: String,
    /// The colours of what is written beside ways: the layout forgets those of long ones.
    inks: BTreeMap<String, &'static str>,
    right: f64,
    bottom: f64,
}

impl Canvas {
    /// Empty; what is written beside ways gets these colours.
    pub(super) fn new(inks: BTreeMap<String, &'static str>) -> Self {
        Self {
            inks,
            ..Self::default()
        }
    }

    /// A box with text in it, below everything that has been drawn.
    pub(super) fn below(&mut self, text: &str, size: Point, look: &StyleAttr) {
        let at = Point::new(MARGIN, self.bottom + 2. * MARGIN);
        self.draw_rect(at, size, look, None, None);
        let middle = Point::new(at.x + size.x / 2., at.y + size.y / 2.);
        self.draw_text(middle, text, look);
    }

    /// The picture, with a line break at the end.
    pub(super) fn finish(self) -> String {
        let (width, height) = (self.right + MARGIN, self.bottom + MARGIN);
        let layers = self.ways + &self.shapes + &self.texts;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{layers}</svg>\n"
        )
    }

    /// The ground of what is written beside a way, so that the way does not strike it through.
    fn clear(&mut self, middle: Point, width: f64, height: f64) {
        let _ = writeln!(
            self.texts,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"3\" fill=\"#ffffff\" \
             fill-opacity=\"0.85\"/>",
            middle.x - width / 2.,
            middle.y - height / 2.
        );
    }

    fn reach(&mut self, x: f64, y: f64) {
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }

    /// At `to`, seen from `from`.
    fn head(&mut self, from: Point, to: Point, colour: &str) {
        let (x, y) = (to.x - from.x, to.y - from.y);
        let length = x.hypot(y);
        if length == 0. {
            return;
        }
        let (x, y) = (x / length, y / length);
        let back = (to.x - x * HEAD_LENGTH, to.y - y * HEAD_LENGTH);
        let (left, up) = (-y * HEAD_WIDTH / 2., x * HEAD_WIDTH / 2.);
        let _ = writeln!(
            self.ways,
            "<polygon points=\"{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}\" fill=\"{colour}\"/>",
            to.x,
            to.y,
            back.0 + left,
            back.1 + up,
            back.0 - left,
            back.1 - up
        );
    }
}

/// Whether this is the look of a state: what is written beside ways has no ground, or the white one of the layout.
fn is_shape(look: &StyleAttr) -> bool {
    look.fill_color
        .is_some_and(|ground| paint(Some(ground)) != paint(Some(Color::fast("white"))))
}

fn paint(colour: Option<Color>) -> String {
    // Without its last two digits, which say how much of it and which not every viewer knows.
    colour.map_or("none".to_owned(), |colour| {
        colour.to_web_color().chars().take(7).collect()
    })
}

impl RenderBackend for Canvas {
    fn draw_rect(
        &mut self,
        xy: Point,
        size: Point,
        look: &StyleAttr,
        _properties: Option<String>,
        _clip: Option<ClipHandle>,
    ) {
        self.reach(xy.x + size.x, xy.y + size.y);
        let _ = writeln!(
            self.shapes,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>",
            xy.x,
            xy.y,
            size.x,
            size.y,
            look.rounded,
            paint(look.fill_color),
            paint(Some(look.line_color)),
            look.line_width
        );
    }

    fn draw_line(&mut self, start: Point, stop: Point, look: &StyleAttr, _properties: Option<String>) {
        self.reach(start.x.max(stop.x), start.y.max(stop.y));
        let _ = writeln!(
            self.ways,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{}\"/>",
            start.x,
            start.y,
            stop.x,
            stop.y,
            paint(Some(look.line_color))
        );
    }

    fn draw_circle(&mut self, xy: Point, size: Point, look: &StyleAttr, _properties: Option<String>) {
        self.reach(xy.x + size.x / 2., xy.y + size.y / 2.);
        let _ = writeln!(
            self.shapes,
            "<ellipse cx=\"{:.1}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>",
            xy.x,
            xy.y,
            size.x / 2.,
            size.y / 2.,
            paint(look.fill_color),
            paint(Some(look.line_color)),
            look.line_width
        );
    }

    fn draw_text(&mut self, xy: Point, text: &str, look: &StyleAttr) {
        // The layout gives labels of long edges the size of its own; all of a kind look alike here.
        let font = number(super::FONT.min(look.font_size));
        let rows = number(text.lines().count());
        let columns = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let width = number(columns) * font * CHAR_WIDTH;
        let ink = self.inks.get(text).copied().filter(|_| !is_shape(look));
        if ink.is_some() {
            self.clear(xy, width, rows * font * 1.2);
        }
        self.reach(xy.x + width / 2., xy.y + rows * font * 0.6);
        for (row, line) in text.lines().enumerate() {
            let y = xy.y + font * (number(row) - (rows - 1.) / 2.) * 1.2 + font * 0.35;
            let _ = writeln!(
                self.texts,
                "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" font-size=\"{font:.0}\" fill=\"{}\">{}</text>",
                xy.x,
                ink.unwrap_or("#000000"),
                escaped(line)
            );
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        dashed: bool,
        head: (bool, bool),
        look: &StyleAttr,
        _properties: Option<String>,
        _text: &str,
    ) {
        let [first, second, rest @ ..] = path else { return };
        let mut curve = format!("M{:.1},{:.1} C", first.0.x, first.0.y);
        for point in [first.1, second.0, second.1] {
            let _ = write!(curve, " {:.1},{:.1}", point.x, point.y);
        }
        for (control, end) in rest {
            let _ = write!(curve, " S {:.1},{:.1} {:.1},{:.1}", control.x, control.y, end.x, end.y);
        }
        for (one, other) in path {
            self.reach(one.x.max(other.x), one.y.max(other.y));
        }
        let colour = paint(Some(look.line_color));
        let dash = if dashed { " stroke-dasharray=\"5,4\"" } else { "" };
        let width = look.line_width;
        let _ = writeln!(
            self.ways,
            "<path d=\"{curve}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>"
        );
        if head.0 {
            self.head(first.1, first.0, &colour);
        }
        if let Some((control, end)) = path.last().filter(|_| head.1) {
            self.head(*control, *end, &colour);
        }
    }

    fn create_clip(&mut self, _xy: Point, _size: Point, _rounded_px: usize) -> ClipHandle {
        // Only records are clipped, and there are none.
        0
    }
}

pub(super) fn number(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// XML has no way to write a control character, not even escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
