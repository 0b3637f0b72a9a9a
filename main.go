// Command stockflow is an order-fulfilment stream engine; see cli for its commands and processors for a tour.
package main

import "stockflow/cli"

func main() { cli.Main() }
