use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(pub String);

impl Quantity {
    pub const ZERO: Quantity = Quantity { nanos: 0 };
    pub fn parse(_text: &str) -> Result<Self, QuantityError> {
        todo!()
    }
    pub fn from_value(_units: i64) -> Self {
        todo!()
    }
    pub fn from_milli(_milli: i64) -> Self {
        todo!()
    }
    pub fn value(&self) -> i64 {
        todo!()
    }
    pub fn milli_value(&self) -> i64 {
        todo!()
    }
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }
}
impl std::str::FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::parse(s)
    }
}
impl TryFrom<&k8s_openapi::apimachinery::pkg::api::resource::Quantity> for Quantity {
    type Error = QuantityError;
    fn try_from(q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Result<Self, QuantityError> {
        Self::parse(&q.0)
    }
}
impl From<Quantity> for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn from(q: Quantity) -> Self {
        Self(q.to_string())
    }
}
impl fmt::Display for Quantity {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
impl Add for Quantity {
    type Output = Quantity;
    fn add(self, _other: Quantity) -> Quantity {
        todo!()
    }
}
impl Sub for Quantity {
    type Output = Quantity;
    fn sub(self, _other: Quantity) -> Quantity {
        todo!()
    }
}
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}
impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}
impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(iter: I) -> Self {
        iter.fold(Quantity::ZERO, Add::add)
    }
}
