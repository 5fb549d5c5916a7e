use std::marker::PhantomData;
use std::time::Duration;

pub struct RateLimit {}
impl RateLimit {
    pub fn default_controller() -> Self {
        todo!()
    }
}

pub struct WorkQueue<T>(PhantomData<fn() -> T>);

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T: Ord + Clone> WorkQueue<T> {
    pub fn new(_limit: RateLimit) -> Self {
        todo!()
    }
    pub fn add(&self, _item: T) {
        todo!()
    }
    pub fn add_after(&self, _item: T, _delay: Duration) {
        todo!()
    }
    pub fn add_rate_limited(&self, _item: T) {
        todo!()
    }
    pub fn forget(&self, _item: &T) {
        todo!()
    }
    pub fn retries(&self, _item: &T) -> u32 {
        todo!()
    }
    pub async fn get(&self) -> Option<T> {
        todo!()
    }
    pub fn done(&self, _item: &T) {
        todo!()
    }
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn shut_down(&self) {
        todo!()
    }
}
