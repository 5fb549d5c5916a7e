//! Evaluation: a walk over the parsed expression, every step of which is paid for.

use super::authorizer::Question;
use super::functions;
use super::schema::{Schema, unescape};
use super::value::{Map, Text, Value};
use super::{Budget, EvalError, Program};
use crate::access::User;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SelectExpr,
    operators as op,
};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub type Evaluated<'a> = Result<Value<'a>, EvalError>;

/// The names that an expression may use, and what they stand for.
pub struct Scope<'a> {
    values: BTreeMap<&'a str, Value<'a>>,
    /// `variables.NAME` of a policy: expressions that are evaluated when they are first asked for.
    composed: &'a [(String, Program)],
    known: RefCell<BTreeMap<&'a str, Evaluated<'a>>>,
    budget: &'a Budget,
}

impl<'a> Scope<'a> {
    pub fn new(budget: &'a Budget) -> Scope<'a> {
        Scope { values: BTreeMap::new(), composed: &[], known: RefCell::default(), budget }
    }

    pub fn with(mut self, name: &'a str, value: &'a Json, schema: Option<Schema<'a>>) -> Scope<'a> {
        self.values.insert(name, Value::from_json(value, schema));
        self
    }

    /// `authorizer`, who asks for this user.
    pub fn with_authorizer(mut self, user: &User) -> Scope<'a> {
        self.values.insert("authorizer", Value::Question(Question::of(user)));
        self
    }

    /// A variable that is there or not (`oldSelf` of an optional old value).
    pub fn with_optional(
        mut self,
        name: &'a str,
        value: Option<&'a Json>,
        schema: Option<Schema<'a>>,
    ) -> Self {
        let value = value.map(|value| Rc::new(Value::from_json(value, schema)));
        self.values.insert(name, Value::Optional(value));
        self
    }

    pub fn with_composed(mut self, composed: &'a [(String, Program)]) -> Scope<'a> {
        self.composed = composed;
        self
    }

    pub fn eval(&self, program: &'a Program) -> Evaluated<'a> {
        let mut run = Run { scope: self, locals: Vec::new() };
        run.eval(&program.ast)
    }

    /// `variables.NAME`, evaluated once. One may use those before it only: the compiler saw to it.
    fn composed(&self, name: &str) -> Option<Evaluated<'a>> {
        let at = self.composed.iter().position(|(n, _)| n == name)?;
        let (name, program) = &self.composed[at];
        let known = self.known.borrow().get(name.as_str()).cloned();
        Some(known.unwrap_or_else(|| {
            let value = self.eval(program);
            let value = value
                .map_err(|error| error.within(format!("composited variable {name:?} fails to evaluate")));
            self.known.borrow_mut().insert(name, value.clone());
            value
        }))
    }
}

/// One evaluation under way.
struct Run<'s, 'a> {
    scope: &'s Scope<'a>,
    /// What comprehensions have bound, innermost last.
    locals: Vec<(&'a str, Value<'a>)>,
}

/// What a comprehension does with each item. The parser writes macros out; this reads them back.
enum Each<'a> {
    All(&'a IdedExpr),
    Exists(&'a IdedExpr),
    ExistsOne(&'a IdedExpr),
    /// With a condition or without, and what to keep.
    Collect(Option<&'a IdedExpr>, &'a IdedExpr),
}

fn read_macro(comprehension: &ComprehensionExpr) -> Option<Each<'_>> {
    let Expr::Call(step) = &comprehension.loop_step.expr else { return None };
    match (step.func_name.as_str(), step.args.as_slice()) {
        (op::LOGICAL_AND, [_, predicate]) => Some(Each::All(predicate)),
        (op::LOGICAL_OR, [_, predicate]) => Some(Each::Exists(predicate)),
        (op::CONDITIONAL, [condition, then, _]) => Some(match kept(then) {
            Some(item) => Each::Collect(Some(condition), item),
            None => Each::ExistsOne(condition),
        }),
        (op::ADD, _) => kept(&comprehension.loop_step).map(|item| Each::Collect(None, item)),
        _ => None,
    }
}

/// The `x` of `@result + [x]`.
fn kept(expr: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::Call(add) = &expr.expr else { return None };
    match add.args.as_slice() {
        [_, IdedExpr { expr: Expr::List(list), .. }] if add.func_name == op::ADD => list.elements.first(),
        _ => None,
    }
}

impl<'a> Run<'_, 'a> {
    fn pay(&self, steps: usize) -> Result<(), EvalError> {
        self.scope.budget.spend(steps)
    }

    fn eval(&mut self, expr: &'a IdedExpr) -> Evaluated<'a> {
        self.pay(1)?;
        match &expr.expr {
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    match self.eval(element)? {
                        Value::Optional(value) if list.optional_indices.contains(&index) => {
                            items.extend(value.map(|v| v.as_ref().clone()));
                        }
                        value => items.push(value),
                    }
                }
                Ok(Value::list(items))
            }
            Expr::Map(map) => self.map(&map.entries),
            Expr::Struct(_) | Expr::Unspecified => Err(EvalError::failed("no such overload")),
        }
    }

    fn map(&mut self, entries: &'a [IdedEntryExpr]) -> Evaluated<'a> {
        let mut pairs: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(EvalError::failed("no such overload"));
            };
            let key = self.eval(&entry.key)?;
            if !matches!(key, Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
                return Err(EvalError::failed(format!("unsupported key type: {}", key.type_name())));
            }
            self.pay(pairs.len())?;
            if pairs.iter().any(|(k, _)| k.equals(&key)) {
                let key = key.display().unwrap_or_default();
                return Err(EvalError::failed(format!("Failed with repeated key: {key}")));
            }
            match self.eval(&entry.value)? {
                Value::Optional(value) if entry.optional => {
                    pairs.extend(value.map(|v| (key, v.as_ref().clone())));
                }
                value => pairs.push((key, value)),
            }
        }
        Ok(Value::Map(Map::Made(Rc::new(pairs))))
    }

    fn local(&self, name: &str) -> Option<&Value<'a>> {
        self.locals.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    fn ident(&self, name: &str) -> Evaluated<'a> {
        let variable = self.local(name).or_else(|| self.scope.values.get(name));
        let found = variable.cloned().or_else(|| functions::type_named(name).map(Value::Type));
        found.ok_or_else(|| EvalError::failed(format!("no such attribute(s): {name}")))
    }

    fn is_variable(&self, name: &str) -> bool {
        self.local(name).is_some() || self.scope.values.contains_key(name)
    }

    fn select(&mut self, select: &'a SelectExpr) -> Evaluated<'a> {
        if let Expr::Ident(root) = &select.operand.expr
            && root == "variables"
            && !self.is_variable(root)
            && let Some(value) = self.scope.composed(&select.field)
        {
            return if select.test { Ok(Value::Bool(value.is_ok())) } else { value };
        }
        let operand = self.eval(&select.operand)?;
        match (operand, select.test) {
            // What is looked up in something optional is optional.
            (Value::Optional(inner), test) => {
                let found = match inner.as_deref() {
                    Some(value) => field(value, &select.field)?,
                    None => None,
                };
                Ok(if test { Value::Bool(found.is_some()) } else { Value::Optional(found.map(Rc::new)) })
            }
            (operand, true) => Ok(Value::Bool(field(&operand, &select.field)?.is_some())),
            (operand, false) => field(&operand, &select.field)?
                .ok_or_else(|| EvalError::failed(format!("no such key: {}", select.field))),
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Evaluated<'a> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND, [a, b]) => self.logic(a, b, false),
            (op::LOGICAL_OR, [a, b]) => self.logic(a, b, true),
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                let chosen = if self.truth(condition)? { then } else { otherwise };
                self.eval(chosen)
            }
            (op::NOT_STRICTLY_FALSE, [condition]) => {
                Ok(Value::Bool(!matches!(self.eval(condition), Ok(Value::Bool(false)))))
            }
            (op::OPT_SELECT, [operand, name]) => {
                let (operand, name) = (self.eval(operand)?, self.eval(name)?);
                let Value::String(name) = name else { return Err(functions::no_overload()) };
                optional_lookup(operand, |value| field(value, name.as_str()))
            }
            (op::OPT_INDEX, [operand, index]) => {
                let (operand, index) = (self.eval(operand)?, self.eval(index)?);
                optional_lookup(operand, |value| Ok(functions::index(value, &index).ok()))
            }
            (name, [key, value, rest @ ..])
                if call.target.is_some() && is_two_variable(name, call.args.len()) =>
            {
                let (Expr::Ident(key), Expr::Ident(value), Some(target)) =
                    (&key.expr, &value.expr, &call.target)
                else {
                    return Err(EvalError::failed("argument must be a simple name"));
                };
                self.two_variable(name, target, (key, value), rest)
            }
            ("optMap" | "optFlatMap", [IdedExpr { expr: Expr::Ident(name), .. }, body]) => {
                let Some(target) = &call.target else { return Err(functions::no_overload()) };
                let Value::Optional(inner) = self.eval(target)? else { return Err(functions::no_overload()) };
                let Some(inner) = inner else { return Ok(Value::Optional(None)) };
                let value = self.bound(&[(name, inner.as_ref().clone())], |run| run.eval(body))?;
                Ok(if call.func_name == "optMap" { Value::Optional(Some(Rc::new(value))) } else { value })
            }
            (name, args) => self.function(call, name, args),
        }
    }

    fn function(&mut self, call: &'a CallExpr, name: &'a str, args: &'a [IdedExpr]) -> Evaluated<'a> {
        let mut values = Vec::with_capacity(args.len() + 1);
        let mut qualified = None;
        match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(root), .. })
                if functions::is_namespace(root) && !self.is_variable(root) =>
            {
                qualified = Some(root.as_str());
            }
            Some(target) => {
                let target = self.eval(target)?;
                // `or` and `orValue` need their argument only when there is nothing.
                if let (Value::Optional(Some(value)), "or" | "orValue", [_]) = (&target, name, args) {
                    return Ok(if name == "or" { target } else { value.as_ref().clone() });
                }
                values.push(target);
            }
            None => {}
        }
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let target = match (call.target.is_some(), qualified) {
            (_, Some(namespace)) => functions::Target::Namespace(namespace),
            (true, None) => functions::Target::Receiver,
            (false, None) => functions::Target::Global,
        };
        functions::call(self.scope.budget, target, name, &values)
    }

    fn truth(&mut self, expr: &'a IdedExpr) -> Result<bool, EvalError> {
        match self.eval(expr)? {
            Value::Bool(truth) => Ok(truth),
            _ => Err(functions::no_overload()),
        }
    }

    /// `&&` and `||` take either side for decided when it is, whatever the other fails with.
    fn logic(&mut self, a: &'a IdedExpr, b: &'a IdedExpr, decisive: bool) -> Evaluated<'a> {
        let left = self.truth(a);
        match left {
            Ok(truth) if truth == decisive => Ok(Value::Bool(decisive)),
            Err(EvalError::Budget) => Err(EvalError::Budget),
            left => match self.truth(b) {
                Ok(truth) if truth == decisive => Ok(Value::Bool(decisive)),
                right => left.and(right).map(Value::Bool),
            },
        }
    }

    /// Evaluate with names bound.
    fn bound<T>(&mut self, names: &[(&'a str, Value<'a>)], body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.locals.len();
        self.locals.extend(names.iter().cloned());
        let result = body(self);
        self.locals.truncate(before);
        result
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Evaluated<'a> {
        let Some(each) = read_macro(comprehension) else { return Err(functions::no_overload()) };
        let items: Vec<Value<'a>> = match self.eval(&comprehension.iter_range)? {
            Value::List(list) => list.iter().collect(),
            Value::Map(map) => map.keys().collect(),
            _ => return Err(functions::no_overload()),
        };
        let name = comprehension.iter_var.as_str();
        self.over(items.into_iter().map(|item| [(name, item)]), &each)
    }

    /// Go over bindings, as the macro says.
    fn over<const N: usize>(
        &mut self,
        items: impl Iterator<Item = [(&'a str, Value<'a>); N]>,
        each: &Each<'a>,
    ) -> Evaluated<'a> {
        let mut failed = None;
        let (mut count, mut list) = (0, Vec::new());
        for names in items {
            self.pay(1)?;
            match each {
                Each::All(predicate) | Each::Exists(predicate) => {
                    let decisive = matches!(each, Each::Exists(_));
                    match self.bound(&names, |run| run.truth(predicate)) {
                        Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                        Ok(_) => {}
                        Err(EvalError::Budget) => return Err(EvalError::Budget),
                        Err(error) => failed = Some(error),
                    }
                }
                Each::ExistsOne(predicate) => {
                    count += usize::from(self.bound(&names, |run| run.truth(predicate))?);
                }
                Each::Collect(condition, item) => {
                    let keep = match condition {
                        Some(condition) => self.bound(&names, |run| run.truth(condition))?,
                        None => true,
                    };
                    if keep {
                        list.push(self.bound(&names, |run| run.eval(item))?);
                    }
                }
            }
        }
        match (each, failed) {
            (_, Some(error)) => Err(error),
            (Each::All(_), None) => Ok(Value::Bool(true)),
            (Each::Exists(_), None) => Ok(Value::Bool(false)),
            (Each::ExistsOne(_), None) => Ok(Value::Bool(count == 1)),
            (Each::Collect(..), None) => Ok(Value::list(list)),
        }
    }

    /// `all(i, x, ..)` and its like: index and item of a list, key and value of a map.
    fn two_variable(
        &mut self,
        macro_name: &str,
        target: &'a IdedExpr,
        (key, value): (&'a str, &'a str),
        rest: &'a [IdedExpr],
    ) -> Evaluated<'a> {
        let pairs: Vec<(Value<'a>, Value<'a>)> = match self.eval(target)? {
            Value::List(list) => list.iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect(),
            Value::Map(map) => map.keys().filter_map(|k| map.get(&k).map(|v| (k, v))).collect(),
            _ => return Err(functions::no_overload()),
        };
        let names = pairs.iter().cloned().map(|(k, v)| [(key, k), (value, v)]);
        let each = match (macro_name, rest) {
            ("all", [predicate]) => Each::All(predicate),
            ("exists", [predicate]) => Each::Exists(predicate),
            ("existsOne" | "exists_one", [predicate]) => Each::ExistsOne(predicate),
            (_, [item]) => Each::Collect(None, item),
            (_, [condition, item]) => Each::Collect(Some(condition), item),
            _ => return Err(functions::no_overload()),
        };
        if macro_name != "transformMap" {
            return self.over(names, &each);
        }
        let mut made = Vec::new();
        let (condition, item) = match each {
            Each::Collect(condition, item) => (condition, item),
            _ => return Err(functions::no_overload()),
        };
        for names in names {
            self.pay(1)?;
            let keep = match condition {
                Some(condition) => self.bound(&names, |run| run.truth(condition))?,
                None => true,
            };
            if keep {
                let value = self.bound(&names, |run| run.eval(item))?;
                let [(_, key), _] = names;
                made.push((key, value));
            }
        }
        Ok(Value::Map(Map::Made(Rc::new(made))))
    }
}

/// The macros with two variables, which the parser leaves as calls.
pub fn is_two_variable(name: &str, args: usize) -> bool {
    matches!(
        (name, args),
        ("all" | "exists" | "existsOne" | "exists_one", 3) | ("transformList" | "transformMap", 3 | 4)
    )
}

fn literal_value(literal: &LiteralValue) -> Value<'_> {
    match literal {
        LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(Rc::from(bytes.inner())),
        LiteralValue::Double(d) => Value::Double(*d.inner()),
        LiteralValue::Int(i) => Value::Int(*i.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::String(Text::Borrowed(text.inner())),
        LiteralValue::UInt(u) => Value::Uint(*u.inner()),
    }
}

/// A field of an object; none when it is not there.
fn field<'a>(value: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, EvalError> {
    if let Value::Question(question) = value {
        return Ok(question.stage.field(name).map(|stage| Value::Question(question.at(stage))));
    }
    let Value::Map(map) = value else {
        return Err(EvalError::failed(format!(
            "type '{}' does not support field selection",
            value.type_name()
        )));
    };
    let get = |name: &str| map.get(&Value::String(Text::Shared(name.into())));
    Ok(get(name).or_else(|| unescape(name).and_then(|plain| get(&plain))))
}

/// `a.?b` and `a[?b]`: something optional, whether or not `a` was.
fn optional_lookup<'a>(
    operand: Value<'a>,
    look: impl FnOnce(&Value<'a>) -> Result<Option<Value<'a>>, EvalError>,
) -> Evaluated<'a> {
    let found = match &operand {
        Value::Optional(None) => None,
        Value::Optional(Some(inner)) => look(inner)?,
        value => look(value)?,
    };
    Ok(Value::Optional(found.map(Rc::new)))
}
