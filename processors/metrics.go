package processors

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stockflow/engine"
	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/order"
	"stockflow/machines/shipment"
)

// Metrics count what the machines decide, live and never in a replay. A message whose effects a crash undid may be
// counted again. The nil Metrics counts nothing.
type Metrics struct {
	placed       prometheus.Counter
	outcomes     *prometheus.CounterVec
	outcomeTime  prometheus.Histogram
	reservations *prometheus.CounterVec
	refusals     *prometheus.CounterVec
	stock        *prometheus.CounterVec
	shipments    *prometheus.CounterVec
	mails        *prometheus.CounterVec
	now          func() time.Time
}

// NewMetrics registers the machines' metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		r.MustRegister(c)
		return c
	}
	m := &Metrics{
		placed: prometheus.NewCounter(prometheus.CounterOpts{Name: "stockflow_orders_placed_total", Help: "Orders taken in."}),
		outcomeTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stockflow_order_outcome_seconds", Help: "Time from an order's placement in the log to its outcome.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}),
		outcomes:     vec("stockflow_orders_total", "Orders that came to a status.", "status"),
		reservations: vec("stockflow_reservations_total", "Answers to reservations.", "answer"),
		refusals:     vec("stockflow_reservation_refusals_total", "Refused reservations; held_by_others are those that units given back a moment later could have served.", "reason"),
		stock:        vec("stockflow_stock_changes_total", "Receipts and adjustments, by what became of them: taken or the refusal.", "outcome"),
		shipments:    vec("stockflow_shipments_total", "Shipments that came to a status.", "status"),
		now:          time.Now,
	}
	m.mails = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockflow_mails_total", Help: "E-mails by what became of them: queued, sent, failed, or queued again by a resend.",
	}, []string{"kind", "result"})
	r.MustRegister(m.placed, m.outcomeTime, m.mails)
	return m
}

// order observes the order machine.
func (m *Metrics) order(before order.State, in engine.Incoming, res engine.Result[order.State]) {
	after := res.State
	if m == nil || after.Status == before.Status {
		return
	}
	if before.Status == order.None {
		m.placed.Inc()
		return
	}
	m.outcomes.WithLabelValues(after.Status.String()).Inc()
	if before.Status == order.Pending {
		placed := time.UnixMilli(after.History[0].At)
		m.outcomeTime.Observe(m.now().Sub(placed).Seconds())
	}
}

// inventory observes the inventory machine.
func (m *Metrics) inventory(_ inventory.State, in engine.Incoming, res engine.Result[inventory.State]) {
	if m == nil {
		return
	}
	switch in.Event.(type) {
	case inventory.Receive, inventory.Adjust:
		outcome := "taken"
		if res.Refusal != "" {
			outcome = res.Refusal
		}
		m.stock.WithLabelValues(outcome).Inc()
	}
	for _, o := range res.Outputs {
		m.reservations.WithLabelValues(o.Type).Inc()
		if refused, ok := o.Event.(inventory.Refused); ok {
			m.refusals.WithLabelValues(refused.Reason).Inc()
		}
	}
}

// shipment observes the shipment machine.
func (m *Metrics) shipment(before shipment.State, _ engine.Incoming, res engine.Result[shipment.State]) {
	if m == nil || res.State.Status == before.Status {
		return
	}
	m.shipments.WithLabelValues(res.State.Status.String()).Inc()
}

// notification observes the notification machine.
func (m *Metrics) notification(before notification.State, _ engine.Incoming, res engine.Result[notification.State]) {
	if m == nil {
		return
	}
	for _, now := range res.State.Mails {
		was, _ := before.Find(now.Kind)
		if now.Status == was.Status {
			continue
		}
		result := now.Status.String()
		if now.Status == notification.StatusQueued && now.Round > 1 {
			result = "resent"
		}
		m.mails.WithLabelValues(now.Kind.String(), result).Inc()
	}
}
