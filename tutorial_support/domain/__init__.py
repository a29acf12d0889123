"""The shop that all notebooks share: the very classes that the notebooks define where they teach them."""

from tutorial_support.domain.orders import OrderAggregate, OrderCreated, OrderShipped, OrderState

__all__ = ["OrderAggregate", "OrderCreated", "OrderShipped", "OrderState"]
