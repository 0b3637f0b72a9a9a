// Package api is what the world sees of Stockflow: JSON over HTTP, errors as problems (RFC 9457).
//
// A request is read in full and checked before anything happens; a write is put on its log and acknowledged before
// anything is answered; and what was decided is read from the tables. The package holds no state of its own, but for
// what it has to know of the writes that are under way.
package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stockflow/processors"
)

// route is one method on one path.
type route struct {
	method, path string
	serve        endpoint
}

func (s *Server) routes() []route {
	return []route{
		{"POST", "/v1/orders", handle(readPlacement, s.place)},
		{"GET", "/v1/orders", s.fresh(processors.OrderEvents, handle(s.readOrders, s.listOrders))},
		{"GET", "/v1/orders/{order_id}", s.row(processors.OrderEvents, handle(readOrderID, s.order), handle(s.asOf(readOrderID), s.orderAt))},
		{"GET", "/v1/orders/{order_id}/events", s.fresh(processors.OrderEvents, handle(s.readEventsRequest("order_id"), s.orderEvents))},
		{"GET", "/v1/orders/{order_id}/explain", s.fresh(processors.OrderEvents, handle(readOrderID, s.explain))},
		{"POST", "/v1/orders/{order_id}/cancel", handle(readCancel, s.cancel)},

		{"GET", "/v1/inventory", s.fresh(processors.InventoryEvents, handle(s.readInventory, s.listInventory))},
		{"GET", "/v1/inventory/{sku}", s.row(processors.InventoryEvents, handle(readSKU, s.inventory), handle(s.asOf(readSKU), s.inventoryAt))},
		{"GET", "/v1/inventory/{sku}/events", s.fresh(processors.InventoryEvents, handle(s.readEventsRequest("sku"), s.inventoryEvents))},
		{"POST", "/v1/inventory/{sku}/receipts", handle(readReceipt, s.stock)},
		{"POST", "/v1/inventory/{sku}/adjustments", handle(readAdjustment, s.stock)},

		{"GET", "/v1/shipments", s.fresh(processors.ShipmentEvents, handle(s.readShipments, s.listShipments))},
		{"GET", "/v1/shipments/{order_id}", s.row(processors.ShipmentEvents, handle(readOrderID, s.shipment), handle(s.asOf(readOrderID), s.shipmentAt))},
		{"POST", "/v1/shipments/{order_id}/dispatch", handle(readDispatch, s.parcel)},
		{"POST", "/v1/shipments/{order_id}/deliver", handle(readDeliver, s.parcel)},

		{"GET", "/v1/events", handle(s.readEvents, s.events)},

		{"GET", "/v1/notifications", s.fresh(processors.NotificationEvents, handle(s.readNotifications, s.listNotifications))},
		{"GET", "/v1/notifications/{order_id}", s.row(processors.NotificationEvents, handle(readOrderID, s.notification), handle(s.asOf(readOrderID), s.notificationAt))},
		{"POST", "/v1/notifications/{order_id}/{kind}/resend", handle(readResend, s.resend)},

		{"GET", "/v1/rows/{table}/{key}", handle(readFolding, s.folded)},

		{"GET", "/openapi.yaml", handle(readNothing, s.openAPI)},
		{"GET", "/docs", handle(readNothing, s.docs)},
		{"GET", "/v1/dead-letters", handle(s.readDeadLetters, s.letters)},
		{"POST", "/v1/dead-letters/{id}/redrive", handle(readRedrive, s.redrive)},
		{"POST", "/v1/logs/{log}/{partition}/skip", handle(readSkip, s.skip)},

		{"GET", "/v1/system", handle(readNothing, s.system)},
		{"GET", "/livez", handle(readNothing, s.live)},
		{"GET", "/readyz", handle(readNothing, s.ready)},
	}
}

// handle makes a route of two steps. read takes from the request what the command needs, or returns all that is wrong
// with it; do carries the command out. Neither writes: what they return is written in one place.
func handle[C any](read func(*http.Request) (C, error), do func(context.Context, C) (reply, error)) endpoint {
	return func(r *http.Request) (reply, error) {
		command, err := read(r)
		if err != nil {
			return reply{}, err
		}
		return do(r.Context(), command)
	}
}

// handler puts the routes in front of the network. Paths are taken as they were sent: an id may hold what a
// cleaned path would lose.
func (s *Server) handler() http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	router.NotFoundHandler = s.observe("none", s.answer(notFound))

	var paths []string // in the order of routes, for the first is found first
	byPath := map[string]methods{}
	for _, r := range s.routes() {
		if byPath[r.path] == nil {
			paths = append(paths, r.path)
		}
		byPath[r.path] = append(byPath[r.path], method{r.method, s.answer(r.serve)})
	}
	for _, path := range paths {
		router.Handle(path, s.observe(path, s.choose(byPath[path])))
	}
	metrics := methods{{"GET", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})}}
	router.Handle("/metrics", s.observe("/metrics", s.choose(metrics)))
	return s.recovering(s.knownHost(s.admit(s.limitHeaders(s.sameOrigin(dispatch(router))))))
}

// dispatch serves what router finds. The router's own way would copy each request twice, to note in it what nobody asks for.
func dispatch(router *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var found mux.RouteMatch
		router.Match(r, &found)
		if len(found.Vars) > 0 {
			r = mux.SetURLVars(r, found.Vars)
		}
		found.Handler.ServeHTTP(w, r) // there is one for what isn't found
	})
}

func notFound(r *http.Request) (reply, error) {
	return reply{}, &fault{code: "not_found", detail: "There is nothing at this path."}
}

type method struct {
	name  string
	serve http.Handler
}

type methods []method

// allow is the value of the header Allow. Whoever may GET may ask for the head alone.
func (ms methods) allow() string {
	var names []string
	for _, m := range ms {
		if names = append(names, m.name); m.name == "GET" {
			names = append(names, "HEAD")
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// choose serves the methods of one path, and refuses the others.
func (s *Server) choose(ms methods) http.Handler {
	refuse := s.answer(func(*http.Request) (reply, error) {
		return reply{}, &fault{
			code: "method_not_allowed", detail: "This path takes " + ms.allow() + ".",
			header: headers{{"Allow", ms.allow()}},
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range ms {
			if m.name == r.Method || m.name == "GET" && r.Method == "HEAD" {
				m.serve.ServeHTTP(w, r)
				return
			}
		}
		refuse.ServeHTTP(w, r)
	})
}
