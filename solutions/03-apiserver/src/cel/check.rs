//! What can be said of an expression before it is evaluated: that every name in it means
//! something, and that functions and operators are not given what they never take.

use super::authorizer::Stage;
use super::eval::is_two_variable;
use super::functions::{is_namespace, type_named};
use super::parse::at;
use super::schema::{Schema, unescape};
use super::signatures::{Signature, functions};
use super::{CompileError, Program};
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op,
};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of the type of an expression.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Type {
    #[default]
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>),
    /// These fields and no others.
    Fields(Arc<BTreeMap<String, Type>>),
    Optional(Arc<Type>),
    /// A type that only a library has, by its name.
    Other(&'static str),
}

impl Type {
    /// The type of the values of a structural schema.
    pub fn of_schema(schema: &Json) -> Type {
        if schema["x-kubernetes-int-or-string"] == true {
            return Type::Dyn;
        }
        let kind = Schema(schema);
        let format = schema["format"].as_str().unwrap_or_default();
        let known = match (kind.type_name(), format) {
            ("boolean", _) => Type::Bool,
            ("integer", _) => Type::Int,
            ("number", _) => Type::Double,
            ("string", "byte") => Type::Bytes,
            ("string", "date" | "date-time") => Type::Timestamp,
            ("string", "duration") => Type::Duration,
            ("string", _) => Type::String,
            ("array", _) => Type::List(Arc::new(schema.get("items").map_or(Type::Dyn, Type::of_schema))),
            ("object", _) => match schema.get("additionalProperties") {
                Some(values) if values.is_object() => Type::Map(Arc::new(Type::of_schema(values))),
                Some(_) => Type::Map(Arc::default()),
                None if kind.lists_fields() => {
                    let fields = schema["properties"].as_object().into_iter().flatten();
                    let mut fields: BTreeMap<String, Type> =
                        fields.map(|(name, field)| (name.clone(), Type::of_schema(field))).collect();
                    if schema["x-kubernetes-embedded-resource"] == true {
                        for name in ["apiVersion", "kind", "metadata"] {
                            fields.entry(name.into()).or_default();
                        }
                    }
                    Type::Fields(Arc::new(fields))
                }
                None => Type::Dyn,
            },
            _ => Type::Dyn,
        };
        // What may be null is compared with null.
        if schema["nullable"] == true && !matches!(known, Type::Fields(_)) { Type::Dyn } else { known }
    }

    /// As cel-go names it.
    pub fn name(&self) -> String {
        match self {
            Type::Dyn => "dyn".into(),
            Type::Null => "null".into(),
            Type::Bool => "bool".into(),
            Type::Int => "int".into(),
            Type::Uint => "uint".into(),
            Type::Double => "double".into(),
            Type::String => "string".into(),
            Type::Bytes => "bytes".into(),
            Type::Duration => "google.protobuf.Duration".into(),
            Type::Timestamp => "google.protobuf.Timestamp".into(),
            Type::List(item) => format!("list({})", item.name()),
            Type::Map(value) => format!("map(string, {})", value.name()),
            Type::Fields(_) => "object".into(),
            Type::Optional(inner) => format!("optional_type({})", inner.name()),
            Type::Other(name) => (*name).into(),
        }
    }

    fn is_known(&self) -> bool {
        *self != Type::Dyn
    }

    /// A type of the language itself that stands for one value.
    fn is_scalar(&self) -> bool {
        matches!(self, Type::Bool | Type::Int | Type::Uint | Type::Double | Type::String | Type::Bytes)
    }
}

pub fn check(text: &str, ast: &IdedExpr, variables: &[(&str, Type)]) -> Result<Type, CompileError> {
    let names = variables.iter().map(|(name, kind)| ((*name).to_string(), kind.clone())).collect();
    let mut check = Check { text, names, wrong: Vec::new() };
    let kind = check.expr(ast);
    match check.wrong.is_empty() {
        true => Ok(kind),
        false => Err(CompileError { message: check.wrong.join("\n") }),
    }
}

struct Check<'t> {
    text: &'t str,
    names: Vec<(String, Type)>,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn expr(&mut self, expr: &IdedExpr) -> Type {
        match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::String,
                LiteralValue::UInt(_) => Type::Uint,
            },
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let kinds: Vec<Type> = list.elements.iter().map(|e| self.expr(e)).collect();
                let same =
                    kinds.windows(2).all(|pair| pair[0] == pair[1]) && list.optional_indices.is_empty();
                let item = if same { kinds.first().cloned().unwrap_or_default() } else { Type::Dyn };
                Type::List(Arc::new(item))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.expr(&entry.key);
                        self.expr(&entry.value);
                    }
                }
                Type::Map(Arc::default())
            }
            Expr::Struct(object) => {
                let name = object.type_name.clone();
                self.undeclared(&name);
                Type::Dyn
            }
            Expr::Unspecified => Type::Dyn,
        }
    }

    fn find(&self, name: &str) -> Option<&Type> {
        self.names.iter().rev().find(|(n, _)| n == name).map(|(_, kind)| kind)
    }

    fn ident(&mut self, name: &str) -> Type {
        if let Some(kind) = self.find(name) {
            return kind.clone();
        }
        if type_named(name).is_none() {
            self.undeclared(name);
        }
        Type::Dyn
    }

    fn undeclared(&mut self, name: &str) {
        let message = format!("undeclared reference to '{name}' (in container '')");
        self.refuse(name, &message);
    }

    /// The parser keeps no places; the first time that the word stands there is a good guess.
    fn refuse(&mut self, word: &str, message: &str) {
        let place = find_word(self.text, word).unwrap_or(0);
        let before = &self.text[..place];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let wrong = at(self.text, line, column, message);
        if !self.wrong.contains(&wrong) {
            self.wrong.push(wrong);
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Type {
        let operand = self.expr(&select.operand);
        let found = self.field(&operand, &select.field);
        if select.test { Type::Bool } else { found }
    }

    fn field(&mut self, operand: &Type, name: &str) -> Type {
        match operand {
            Type::Fields(fields) => {
                let plain = unescape(name);
                match fields.get(name).or_else(|| fields.get(plain.as_deref()?)) {
                    Some(kind) => kind.clone(),
                    None => {
                        self.refuse(name, &format!("undefined field '{name}'"));
                        Type::Dyn
                    }
                }
            }
            Type::Map(value) => value.as_ref().clone(),
            Type::Optional(inner) => Type::Optional(Arc::new(self.field(inner, name))),
            known if *known == Stage::Authorizer.to_type() => match Stage::Authorizer.field(name) {
                Some(stage) => stage.to_type(),
                None => {
                    self.refuse(name, &format!("undefined field '{name}'"));
                    Type::Dyn
                }
            },
            Type::Dyn | Type::Null | Type::Other(_) => Type::Dyn,
            other => {
                let message = format!("type '{}' does not support field selection", other.name());
                self.refuse(name, &message);
                Type::Dyn
            }
        }
    }

    fn with<T>(&mut self, names: &[(&str, Type)], body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.names.len();
        self.names.extend(names.iter().map(|(name, kind)| ((*name).to_string(), kind.clone())));
        let result = body(self);
        self.names.truncate(before);
        result
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Type {
        let range = self.expr(&comprehension.iter_range);
        let item = match &range {
            Type::List(item) => item.as_ref().clone(),
            Type::Map(_) | Type::Fields(_) => Type::String,
            Type::Dyn | Type::Optional(_) => Type::Dyn,
            other => {
                let message = format!(
                    "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                    other.name()
                );
                self.refuse("", &message);
                Type::Dyn
            }
        };
        let accumulated = match &comprehension.accu_init.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => Type::Bool,
            _ => Type::Dyn,
        };
        let names = [(comprehension.iter_var.as_str(), item), (comprehension.accu_var.as_str(), accumulated)];
        self.with(&names, |check| {
            check.expr(&comprehension.loop_step);
            check.expr(&comprehension.result)
        });
        match &comprehension.accu_init.expr {
            Expr::List(_) => Type::List(Arc::default()),
            _ => Type::Bool,
        }
    }

    fn call(&mut self, call: &CallExpr) -> Type {
        let name = call.func_name.as_str();
        if let (true, [key, value, rest @ ..], Some(target)) =
            (is_two_variable(name, call.args.len()), call.args.as_slice(), &call.target)
        {
            self.expr(target);
            let (Expr::Ident(key), Expr::Ident(value)) = (&key.expr, &value.expr) else {
                self.refuse(name, "argument must be a simple name");
                return Type::Dyn;
            };
            let names = [(key.as_str(), Type::Dyn), (value.as_str(), Type::Dyn)];
            self.with(&names, |check| rest.iter().for_each(|arg| drop(check.expr(arg))));
            return if name.starts_with("transform") { Type::Dyn } else { Type::Bool };
        }
        if let ("optMap" | "optFlatMap", [IdedExpr { expr: Expr::Ident(bound), .. }, body], Some(target)) =
            (name, call.args.as_slice(), &call.target)
        {
            self.expr(target);
            self.with(&[(bound.as_str(), Type::Dyn)], |check| check.expr(body));
            return Type::Dyn;
        }
        let namespace = match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(root), .. })
                if is_namespace(root) && self.find(root).is_none() =>
            {
                Some(root.clone())
            }
            _ => None,
        };
        let mut kinds = Vec::new();
        if let (Some(target), None) = (&call.target, &namespace) {
            kinds.push(self.expr(target));
        }
        for arg in &call.args {
            kinds.push(self.expr(arg));
        }
        if let (
            "_?._",
            [operand, _],
            [_, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }],
        ) = (name, kinds.as_slice(), call.args.as_slice())
        {
            let operand = match operand {
                Type::Optional(inner) => inner.as_ref().clone(),
                other => other.clone(),
            };
            return Type::Optional(Arc::new(self.field(&operand, field.inner())));
        }
        self.result_of(name, call.target.is_some(), namespace.as_deref(), &kinds)
    }

    fn result_of(&mut self, name: &str, receiver: bool, namespace: Option<&str>, kinds: &[Type]) -> Type {
        if let Some(operator) = operator_result(name, kinds) {
            return operator.unwrap_or_else(|| {
                let kinds: Vec<String> = kinds.iter().map(Type::name).collect();
                let message =
                    format!("found no matching overload for '{name}' applied to '({})'", kinds.join(", "));
                self.refuse(name.trim_matches(['_', '@']), &message);
                Type::Dyn
            });
        }
        let full = namespace.map_or(name.to_string(), |space| format!("{space}.{name}"));
        let Some(signatures) = functions().get(full.as_str()) else {
            self.undeclared(&full);
            return Type::Dyn;
        };
        let fits = |s: &&Signature| {
            s.receiver == (receiver && namespace.is_none())
                && s.arguments.len() == kinds.len()
                && s.arguments.iter().zip(kinds).all(|(want, have)| want.takes(have))
        };
        let mut fitting = signatures.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => one.result.clone(),
            (Some(one), Some(other)) if one.result == other.result => one.result.clone(),
            (Some(_), Some(_)) => Type::Dyn,
            (None, _) => {
                let names: Vec<String> = kinds.iter().map(Type::name).collect();
                let applied = match (receiver && namespace.is_none(), names.as_slice()) {
                    (true, [target, args @ ..]) => format!("{target}.({})", args.join(", ")),
                    (_, all) => format!("({})", all.join(", ")),
                };
                self.refuse(name, &format!("found no matching overload for '{full}' applied to '{applied}'"));
                Type::Dyn
            }
        }
    }
}

/// The type of an operator's result: none if it is no operator, `Some(None)` if it never takes these.
fn operator_result(name: &str, kinds: &[Type]) -> Option<Option<Type>> {
    let number = |kind: &Type| matches!(kind, Type::Int | Type::Uint | Type::Double);
    Some(match (name, kinds) {
        (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) => {
            [a, b].into_iter().all(|k| !k.is_known() || *k == Type::Bool).then_some(Type::Bool)
        }
        (op::LOGICAL_NOT, [a]) => (!a.is_known() || *a == Type::Bool).then_some(Type::Bool),
        (op::EQUALS | op::NOT_EQUALS, [a, b]) => {
            let differ = a.is_scalar() && b.is_scalar() && a != b && !(number(a) && number(b) && a == b);
            (!differ).then_some(Type::Bool)
        }
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) => {
            let differ = a.is_scalar() && b.is_scalar() && a != b && !(number(a) && number(b));
            (!differ).then_some(Type::Bool)
        }
        (op::IN, [_, within]) => (!within.is_scalar()).then_some(Type::Bool),
        (op::CONDITIONAL, [condition, a, b]) => (!condition.is_known() || *condition == Type::Bool)
            .then(|| if a == b { a.clone() } else { Type::Dyn }),
        (op::NEGATE, [a]) => (!matches!(a, Type::Bool | Type::String | Type::Bytes)).then(|| a.clone()),
        (op::INDEX | op::OPT_INDEX, [a, _]) => match a {
            Type::List(item) | Type::Map(item) if name == op::INDEX => Some(item.as_ref().clone()),
            a if a.is_scalar() => None,
            _ => Some(Type::Dyn),
        },
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [a, b]) => match (a, b) {
            (a, b) if a == b => {
                let texts = matches!(a, Type::String | Type::Bytes | Type::List(_)) && name != op::ADD;
                let never = matches!(a, Type::Bool | Type::Null | Type::Map(_) | Type::Fields(_));
                let same =
                    if name == op::SUBSTRACT && *a == Type::Timestamp { Type::Duration } else { a.clone() };
                (!texts && !never).then_some(same)
            }
            (a, b) if a.is_scalar() && b.is_scalar() => None,
            _ => Some(Type::Dyn),
        },
        (op::NOT_STRICTLY_FALSE, _) => Some(Type::Bool),
        _ => return None,
    })
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |at: &usize| {
        let (before, after) = (text[..*at].chars().next_back(), text[at + word.len()..].chars().next());
        !word.contains(part) || (!before.is_some_and(part) && !after.is_some_and(part))
    };
    let last = word.rsplit('.').next().unwrap_or(word);
    text.match_indices(word).map(|(at, _)| at).find(alone).or_else(|| text.find(last))
}

/// Expressions with names, of which each may use those before it.
pub struct Composed {
    pub programs: Vec<(String, Program)>,
    /// The type of `variables`.
    pub fields: Type,
}

impl Program {
    /// The variables of a policy, each of which may use those before it.
    pub fn compile_composed(
        expressions: &[(String, String)],
        variables: &[(&str, Type)],
    ) -> Result<Composed, (usize, CompileError)> {
        let mut fields = BTreeMap::new();
        let mut programs = Vec::with_capacity(expressions.len());
        for (index, (name, expression)) in expressions.iter().enumerate() {
            let mut known = variables.to_vec();
            known.push(("variables", Type::Fields(Arc::new(fields.clone()))));
            let program = Program::compile_typed(expression, &known).map_err(|error| (index, error))?;
            fields.insert(name.clone(), program.result.clone());
            programs.push((name.clone(), program));
        }
        Ok(Composed { programs, fields: Type::Fields(Arc::new(fields)) })
    }
}
