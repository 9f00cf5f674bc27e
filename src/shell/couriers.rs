//! Couriers: local tasks that carry one errand after the other.
//!
//! A task for each request would be made, moved and freed with each, and its future is kilobytes.
//! A courier is made when none is idle, and kept when its errand is done: as many there are as
//! there were ever errands at once, but for those beyond [`KEPT`] that find nothing more to do.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Idle couriers that are kept.
const KEPT: usize = 256;

/// Where a courier finds its next errand.
#[derive(Debug)]
struct Desk<E> {
    errand: RefCell<Option<E>>,
    /// Known once it has been idle, and the same from then on.
    courier: OnceCell<Waker>,
}

impl<E> Desk<E> {
    async fn errand(&self) -> E {
        std::future::poll_fn(|context| {
            let errand = self.errand.take();
            if errand.is_none() {
                self.courier.get_or_init(|| context.waker().clone());
            }
            errand.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn put(&self, errand: E) {
        self.errand.replace(Some(errand));
        if let Some(courier) = self.courier.get() {
            courier.wake_by_ref();
        }
    }
}

/// What couriers do with an errand.
pub(super) trait Carry: 'static {
    /// What there is to do.
    type Errand: 'static;

    /// Does it.
    async fn carry(&self, errand: Self::Errand);
}

/// The couriers of a shard.
#[derive(Debug)]
pub(super) struct Couriers<C: Carry> {
    carry: C,
    /// Who was idle last is sent first, so that those who are not needed are never disturbed.
    idle: RefCell<Vec<Rc<Desk<C::Errand>>>>,
}

impl<C: Carry> Couriers<C> {
    pub(super) fn new(carry: C) -> Rc<Self> {
        Rc::new(Self {
            carry,
            idle: RefCell::default(),
        })
    }

    /// What all of them have at hand.
    pub(super) const fn carry(&self) -> &C {
        &self.carry
    }

    /// Must be called inside a `LocalSet`.
    pub(super) fn send(self: &Rc<Self>, errand: C::Errand) {
        let idle = self.idle.borrow_mut().pop();
        if let Some(desk) = idle {
            return desk.put(errand);
        }
        let couriers = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let desk = Rc::new(Desk {
                errand: RefCell::new(Some(errand)),
                courier: OnceCell::new(),
            });
            loop {
                couriers.carry.carry(desk.errand().await).await;
                if !couriers.keep(&desk) {
                    return;
                }
            }
        });
    }

    fn keep(&self, desk: &Rc<Desk<C::Errand>>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let has_room = idle.len() < KEPT;
        if has_room {
            idle.push(Rc::clone(desk));
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, yield_now};

    #[derive(Default)]
    struct Books {
        open: Notify,
        carried: RefCell<Vec<usize>>,
    }

    impl Carry for Books {
        type Errand = usize;

        async fn carry(&self, errand: usize) {
            self.open.notified().await;
            self.carried.borrow_mut().push(errand);
        }
    }

    #[tokio::test]
    async fn every_errand_is_carried_once_and_idle_couriers_are_bounded() {
        let couriers = Couriers::new(Books::default());
        let books = &couriers.carry;
        let waves = async {
            let mut sent = 0;
            for wave in [1, 10, 1_000, 5, 300] {
                for errand in sent..sent + wave {
                    couriers.send(errand);
                }
                sent += wave;
                while books.carried.borrow().len() < sent {
                    books.open.notify_waiters();
                    yield_now().await;
                }
                yield_now().await;
                assert!(couriers.idle.borrow().len() <= KEPT);
            }
            let mut carried = books.carried.take();
            carried.sort_unstable();
            assert!(carried.into_iter().eq(0..sent));
        };
        LocalSet::new().run_until(waves).await;
    }
}
