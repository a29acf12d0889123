"""The shop all notebooks share: the very classes that notebooks define where they teach them."""

from tutorial_support.domain.orders import OrderAggregate, OrderCreated, OrderShipped, OrderState

__all__ = ["OrderAggregate", "OrderCreated", "OrderShipped", "OrderState"]
