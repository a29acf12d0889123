"""The shop all notebooks share: the very classes that notebooks define where they teach them."""

from tutorial_support.domain.orders import OrderAggregate, OrderCreated, OrderShipped, OrderState
from tutorial_support.domain.projections import CustomerTotals
from tutorial_support.domain.stock import (
    OutOfStockError,
    Stock,
    StockReceived,
    StockReleased,
    StockReserved,
    StockState,
)

__all__ = [
    "CustomerTotals",
    "OrderAggregate",
    "OrderCreated",
    "OrderShipped",
    "OrderState",
    "OutOfStockError",
    "Stock",
    "StockReceived",
    "StockReleased",
    "StockReserved",
    "StockState",
]
