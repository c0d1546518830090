//! The question: can this expression be true or false in its place? Every name in it must be there, every operator must
//! get what it takes. What is inside JSON is not known before it comes, so there everything is let through.
//!
//! An example: `pool.in_service > "3"` compares a whole number with text; CEL would say so only in the night of the release.

use cel::{
    Program,
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op},
};

use crate::{
    Invalid,
    place::{Fields, Place, Type},
};

/// Functions on text that are true or false.
const QUESTIONS: [&str; 3] = ["contains", "startsWith", "endsWith"];

pub(crate) fn check(program: &Program, place: Place) -> Result<(), Invalid> {
    let check = Check { program, place };
    let root = program.expression();
    let kind = check.kind(root)?;
    check.want(root, kind, Type::Truth, "a condition")
}

struct Check<'p> {
    program: &'p Program,
    place: Place,
}

impl Check<'_> {
    fn invalid(&self, at: &IdedExpr, message: String, help: impl Into<String>) -> Invalid {
        let source = self.program.source_info();
        // Macros make nodes that were never written.
        let at = source.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        Invalid {
            at,
            message,
            help: help.into(),
        }
    }

    fn want(&self, at: &IdedExpr, is: Type, wanted: Type, what: &str) -> Result<(), Invalid> {
        if is == wanted || is == Type::Any {
            return Ok(());
        }
        let message = format!("{what} is {} here, and should be {}", is.name(), wanted.name());
        let help = match wanted {
            Type::Truth => "compare it with something: `a == b`",
            _ => "compare like with like; text goes in quotes",
        };
        Err(self.invalid(at, message, help))
    }

    fn kind(&self, expr: &IdedExpr) -> Result<Type, Invalid> {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.field(expr, self.place.variables(), name, "a condition here"),
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                for element in &list.elements {
                    self.kind(element)?;
                }
                Ok(Type::List)
            }
            Expr::Comprehension(_) => Err(self.unknown_function(expr, "all, exists, map and filter")),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                let help = "compare single values, or a list: `host.pool in [\"a\", \"b\"]`";
                Err(self.invalid(expr, "a condition makes no maps and types".into(), help))
            }
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Result<Type, Invalid> {
        Ok(match literal {
            LiteralValue::Boolean(_) => Type::Truth,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::Double(_) => Type::Float,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::Null => Type::Null,
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                let help = "write a plain number or text";
                return Err(self.invalid(expr, "a kind of value that conditions do not have".into(), help));
            }
        })
    }

    fn field(&self, at: &IdedExpr, fields: Fields, name: &str, what: &str) -> Result<Type, Invalid> {
        let found = fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let known: Vec<_> = fields.iter().map(|(known, _)| *known).collect();
            let message = format!("{what} knows no `{name}`");
            self.invalid(at, message, format!("it knows {}", known.join(", ")))
        })
    }

    fn select(&self, expr: &IdedExpr, select: &SelectExpr) -> Result<Type, Invalid> {
        let kind = match self.kind(&select.operand)? {
            Type::Record(fields) => {
                let what = match &select.operand.expr {
                    Expr::Ident(name) => format!("`{name}`"),
                    _ => "it".to_owned(),
                };
                self.field(expr, fields, &select.field, &what)?
            }
            Type::Texts => Type::Text,
            Type::Any => Type::Any,
            other @ (Type::Truth | Type::Int | Type::Float | Type::Text | Type::List | Type::Null) => {
                let message = format!("{} has nothing named `{}` in it", other.name(), select.field);
                return Err(self.invalid(expr, message, beyond(&select.operand, &select.field)));
            }
        };
        Ok(if select.test { Type::Truth } else { kind })
    }

    fn call(&self, expr: &IdedExpr, call: &CallExpr) -> Result<Type, Invalid> {
        let mut operands: Vec<(&IdedExpr, Type)> = Vec::new();
        for operand in call.target.as_deref().into_iter().chain(&call.args) {
            operands.push((operand, self.kind(operand)?));
        }
        match (call.func_name.as_str(), operands.as_slice()) {
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, sides) => {
                for (side, kind) in sides {
                    self.want(side, *kind, Type::Truth, "a side of `&&`, `||` or `!`")?;
                }
                Ok(Type::Truth)
            }
            (op::CONDITIONAL, [(choice, kind), (_, yes), (no, other)]) => {
                self.want(choice, *kind, Type::Truth, "what stands before `?`")?;
                if *yes != Type::Any {
                    self.want(no, *other, *yes, "what stands after `:`")?;
                }
                Ok(*yes)
            }
            (op::EQUALS | op::NOT_EQUALS, [(_, left), (right, kind)]) => {
                self.alike(right, *left, *kind)?;
                Ok(Type::Truth)
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [(side, left), (right, kind)]) => {
                self.ordered(side, *left)?;
                self.alike(right, *left, *kind)?;
                Ok(Type::Truth)
            }
            (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [left, right]) => {
                self.sum(&call.func_name, *left, *right)
            }
            (op::NEGATE, [(_, kind @ (Type::Int | Type::Float | Type::Any))]) => Ok(*kind),
            (op::NEGATE, [(side, kind)]) => Err(self.invalid(
                side,
                format!("{} has no sign", kind.name()),
                "a minus goes before a number",
            )),
            (op::IN, [_, (_, Type::List | Type::Texts | Type::Any)]) => Ok(Type::Truth),
            (op::IN, [_, (right, kind)]) => {
                let message = format!("`in` asks in a list or in labels, and this is {}", kind.name());
                Err(self.invalid(right, message, "write `x in [\"a\", \"b\"]`"))
            }
            (op::INDEX, [(_, Type::Texts), (index, kind)]) => {
                self.want(index, *kind, Type::Text, "what stands in `[ ]`")?;
                Ok(Type::Text)
            }
            (op::INDEX, [(_, Type::List | Type::Any), _]) => Ok(Type::Any),
            ("size", [(_, Type::Text | Type::Texts | Type::List | Type::Any)]) => Ok(Type::Int),
            ("int", [(_, Type::Text | Type::Int | Type::Float | Type::Any)]) => Ok(Type::Int),
            ("double", [(_, Type::Text | Type::Int | Type::Float | Type::Any)]) => Ok(Type::Float),
            ("string", [(_, Type::Text | Type::Int | Type::Float | Type::Truth | Type::Any)]) => Ok(Type::Text),
            (question, [(target, on), (argument, kind)]) if QUESTIONS.contains(&question) => {
                self.want(target, *on, Type::Text, &format!("what `{question}` is asked of"))?;
                self.want(argument, *kind, Type::Text, &format!("what `{question}` looks for"))?;
                Ok(Type::Truth)
            }
            (name, _) => Err(self.unknown_function(expr, name)),
        }
    }

    fn unknown_function(&self, at: &IdedExpr, name: &str) -> Invalid {
        let message = format!("a condition has no `{name}`, or not of these values");
        let help = "there are == != < <= > >= && || ! + - * / % in ?: has, size, contains, startsWith, endsWith, int, \
                    double, string";
        self.invalid(at, message, help)
    }

    /// Whether two sides can be compared.
    fn alike(&self, right: &IdedExpr, left: Type, kind: Type) -> Result<(), Invalid> {
        let number = |kind| matches!(kind, Type::Int | Type::Float);
        if left == kind
            || [left, kind].contains(&Type::Any)
            || [left, kind].contains(&Type::Null)
            || (number(left) && number(kind))
        {
            return Ok(());
        }
        let message = format!("{} is compared with {}", left.name(), kind.name());
        Err(self.invalid(
            right,
            message,
            "compare like with like; text goes in quotes, numbers do not",
        ))
    }

    fn ordered(&self, side: &IdedExpr, kind: Type) -> Result<(), Invalid> {
        if matches!(kind, Type::Int | Type::Float | Type::Text | Type::Any) {
            return Ok(());
        }
        let message = format!("{} is neither more nor less than something else", kind.name());
        Err(self.invalid(side, message, "compare numbers or texts with < and >"))
    }

    fn sum(&self, operator: &str, left: (&IdedExpr, Type), right: (&IdedExpr, Type)) -> Result<Type, Invalid> {
        let kinds = [left.1, right.1];
        if operator == op::DIVIDE && kinds.contains(&Type::Any) && !kinds.contains(&Type::Float) {
            // What JSON holds is not known: a share of errors would be 0, and so below any limit, until all are errors.
            let message = "whole numbers divide to whole numbers here: 579 / 5799 is 0".to_owned();
            return Err(self.invalid(
                right.0,
                message,
                "multiply instead: `json.differ * 100 < json.compared`",
            ));
        }
        let kind = if left.1 == Type::Any { right.1 } else { left.1 };
        let fits = match kind {
            Type::Int | Type::Float | Type::Any => true,
            Type::Text => operator == op::ADD,
            Type::Truth | Type::Texts | Type::List | Type::Null | Type::Record(_) => false,
        };
        if fits && [kind, Type::Any].contains(&right.1) {
            return Ok(kind);
        }
        let message = format!("no sum of {} and {}", left.1.name(), right.1.name());
        let help = "both sides are whole numbers, fractions or, with +, texts: `double(x)` makes a fraction";
        Err(self.invalid(right.0, message, help))
    }
}

/// What was meant by a field of what has none.
fn beyond(operand: &IdedExpr, field: &str) -> String {
    match &operand.expr {
        Expr::Ident(name) if name == "body" => format!("the body as JSON is `json`: `json.{field}`"),
        _ => "take the dot away".to_owned(),
    }
}
