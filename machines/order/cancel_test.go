package order

import (
	"testing"

	"stockflow/machines/inventory"
	"stockflow/machines/notification"
	"stockflow/machines/shipment"
)

func TestCancelIsRefused(t *testing.T) {
	tell(t, "an order that nobody placed", []row{
		{Cancel{}, "refused: unknown_order | "},
	})
	tell(t, "an order that was rejected", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{refused("lamp", "insufficient"), "rejected lines_refused: lamp refused insufficient"},
		{Cancel{}, "refused: already_rejected | rejected lines_refused: lamp refused insufficient"},
	})
	tell(t, "an order that was shipped, and delivered", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{byDHL, "ship lamp main:2 | shipped: lamp shipped 2"},
		{Cancel{}, "refused: already_shipped | shipped: lamp shipped 2"},
		{shipment.Delivered{}, "delivered: lamp shipped 2"},
		{Cancel{}, "refused: already_shipped | delivered: lamp shipped 2"},
	})
}

func TestCancelBeforeTheOutcome(t *testing.T) {
	tell(t, "what comes later is kept until the last answer, and then all goes back at once", []row{
		{placed(AllOrNothing, "lamp 2", "mug 1", "vase 3"),
			"reserve exact 2 lamp; reserve exact 1 mug; reserve exact 3 vase | pending: lamp pending, mug pending, vase pending"},
		{given("lamp 2"), "pending: lamp reserved 2, mug pending, vase pending"},
		{Cancel{}, "cancelled: lamp reserved 2, mug pending, vase pending"},
		{refused("mug", "insufficient"), "cancelled: lamp reserved 2, mug refused insufficient, vase pending"},
		{Cancel{}, "cancelled: lamp reserved 2, mug refused insufficient, vase pending"},
		{given("vase 3"), "release lamp main:2; release vase main:3 | cancelled: lamp released, mug refused insufficient, vase released"},
		{Cancel{}, "cancelled: lamp released, mug refused insufficient, vase released"},
	})
	tell(t, "a line that is queued after that is withdrawn", []row{
		{placed(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
		{Cancel{}, "cancelled: lamp pending"},
		{queued("lamp"), "withdraw lamp | cancelled: lamp withdrawing"},
		{withdrawn("lamp"), "cancelled: lamp withdrawn"},
	})
	tell(t, "a line that waits is withdrawn at once", []row{
		{placed(Backorder, "lamp 2", "mug 1"), "reserve or queue 2 lamp; reserve or queue 1 mug | pending: lamp pending, mug pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending"},
		{Cancel{}, "withdraw lamp | cancelled: lamp withdrawing, mug pending"},
		{withdrawn("lamp"), "cancelled: lamp withdrawn, mug pending"},
		{given("mug 1"), "release mug main:1 | cancelled: lamp withdrawn, mug released"},
	})
}

func TestCancelOfABackorder(t *testing.T) {
	tell(t, "lines leave their queues, and the last answer closes the order", []row{
		{placed(Backorder, "lamp 2", "mug 1", "vase 3"),
			"reserve or queue 2 lamp; reserve or queue 1 mug; reserve or queue 3 vase | pending: lamp pending, mug pending, vase pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending, vase pending"},
		{queued("mug"), "pending: lamp waiting, mug waiting, vase pending"},
		{given("vase 3"), "backordered: lamp waiting, mug waiting, vase reserved 3"},
		{Cancel{}, "withdraw lamp; withdraw mug | cancelled: lamp withdrawing, mug withdrawing, vase reserved 3"},
		{withdrawn("mug"), "cancelled: lamp withdrawing, mug withdrawn, vase reserved 3"},
		{withdrawn("lamp"), "release vase main:3 | cancelled: lamp withdrawn, mug withdrawn, vase released"},
	})
	tell(t, "a line was served before it could leave: it closes with NotWaiting, once", []row{
		{placed(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
		{queued("lamp"), "backordered: lamp waiting"},
		{Cancel{}, "withdraw lamp | cancelled: lamp withdrawing"},
		{given("lamp 2"), "cancelled: lamp withdrawing 2"},
		{notWaiting("lamp"), "release lamp main:2 | cancelled: lamp released"},
	})
	tell(t, "a rejected order likewise", []row{
		{placed(Backorder, "lamp 2", "mug 1"), "reserve or queue 2 lamp; reserve or queue 1 mug | pending: lamp pending, mug pending"},
		{queued("lamp"), "pending: lamp waiting, mug pending"},
		{refused("mug", "queue_full"), "withdraw lamp | rejected lines_refused: lamp withdrawing, mug refused queue_full"},
		{given("lamp 2"), "rejected lines_refused: lamp withdrawing 2, mug refused queue_full"},
		{notWaiting("lamp"), "release lamp main:2 | rejected lines_refused: lamp released, mug refused queue_full"},
	})
}

func TestCancelAgainstDispatch(t *testing.T) {
	tell(t, "the cancellation came first", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{shipment.Scheduled{}, "confirmed: lamp reserved 2"},
		{Cancel{}, "cancel the parcel | confirmed (cancelling): lamp reserved 2"},
		{Cancel{}, "confirmed (cancelling): lamp reserved 2"},
		{shipment.Cancelled{}, "release lamp main:2 | cancelled: lamp released"},
	})
	tell(t, "the dispatch came first", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{Cancel{}, "cancel the parcel | confirmed (cancelling): lamp reserved 2"},
		{shipment.Scheduled{}, "confirmed (cancelling): lamp reserved 2"},
		{byDHL, "ship lamp main:2 | shipped (cancelling): lamp shipped 2"},
		{Cancel{}, "refused: already_shipped | shipped (cancelling): lamp shipped 2"},
		{shipment.NotCancelled{}, "shipped: lamp shipped 2"},
		{shipment.Delivered{}, "delivered: lamp shipped 2"},
	})
	tell(t, "so did the delivery", []row{
		{placed(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{Cancel{}, "cancel the parcel | confirmed (cancelling): lamp reserved 2"},
		{byDHL, "ship lamp main:2 | shipped (cancelling): lamp shipped 2"},
		{shipment.Delivered{}, "delivered (cancelling): lamp shipped 2"},
		{shipment.NotCancelled{}, "delivered: lamp shipped 2"},
	})
}

// Each story ends with an answer that nobody awaits.
func TestUnfitAnswers(t *testing.T) {
	for _, answer := range []any{
		given("lamp 2"), refused("lamp", "insufficient"), queued("lamp"), withdrawn("lamp"), notWaiting("lamp"),
		shipment.Scheduled{}, byDHL, shipment.Delivered{}, shipment.Cancelled{}, shipment.NotCancelled{},
	} {
		if r := apply(t, State{}, answer); r.Inapplicable == "" {
			t.Errorf("%T was taken by an order that was never placed", answer)
		}
	}
	const asks = "reserve or queue 2 lamp | pending: lamp pending"
	place := placed(Backorder, "lamp 2")
	tell(t, "never placed", []row{
		{given("lamp 2"), `unfit: a Reserved for SKU "lamp" of order "o1", which was never placed, expected a Placed before it | `},
		{byDHL, `unfit: a shipment's Dispatched for order "o1", which was never placed, expected a confirmed order | `},
	})
	tell(t, "another SKU", []row{
		{place, asks},
		{given("vase 2"), `unfit: a Reserved for SKU "vase", expected a SKU of order "o1" | pending: lamp pending`},
	})
	tell(t, "not asked to leave", []row{
		{place, asks},
		{withdrawn("lamp"), `unfit: a Withdrawn for SKU "lamp", whose line is pending, expected a line that is withdrawing | pending: lamp pending`},
		{queued("lamp"), "backordered: lamp waiting"},
		{notWaiting("lamp"), `unfit: a NotWaiting for SKU "lamp", whose line is waiting, expected a line that is withdrawing | backordered: lamp waiting`},
		{queued("lamp"), `unfit: a Queued for SKU "lamp", whose line is waiting, expected a line that is pending | backordered: lamp waiting`},
		{refused("lamp", "queue_full"), `unfit: a Refused for SKU "lamp", whose line is waiting, expected a line that is pending | backordered: lamp waiting`},
	})
	tell(t, "answered twice", []row{
		{place, asks},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{given("lamp 2"), `unfit: a Reserved for SKU "lamp", whose line is reserved, expected a line that is pending or waiting or withdrawing | confirmed: lamp reserved 2`},
	})
	tell(t, "served and withdrawn", []row{
		{place, asks},
		{queued("lamp"), "backordered: lamp waiting"},
		{Cancel{}, "withdraw lamp | cancelled: lamp withdrawing"},
		{notWaiting("lamp"), `unfit: a NotWaiting for SKU "lamp", whose units have not come, expected a Reserved before it | cancelled: lamp withdrawing`},
		{given("lamp 2"), "cancelled: lamp withdrawing 2"},
		{given("lamp 2"), `unfit: a second Reserved for SKU "lamp", expected a NotWaiting | cancelled: lamp withdrawing 2`},
		{withdrawn("lamp"), `unfit: a Withdrawn for SKU "lamp", whose units came before, expected a NotWaiting | cancelled: lamp withdrawing 2`},
	})
	tell(t, "a parcel out of turn", []row{
		{place, asks},
		{byDHL, `unfit: a shipment's Dispatched for order "o1", which is pending, expected a confirmed order | pending: lamp pending`},
		{given("lamp 2"), "pack [{lamp 2}] | confirmed: lamp reserved 2"},
		{shipment.Delivered{}, `unfit: a shipment's Delivered for order "o1", which is confirmed, expected a shipped order | confirmed: lamp reserved 2`},
		{shipment.Cancelled{}, `unfit: a shipment's Cancelled for order "o1", which is confirmed, expected a confirmed order that asked to cancel | confirmed: lamp reserved 2`},
		{Cancel{}, "cancel the parcel | confirmed (cancelling): lamp reserved 2"},
		{shipment.NotCancelled{}, `unfit: a shipment's NotCancelled for order "o1", which is confirmed and asked to cancel, expected a shipped order that asked to cancel | confirmed (cancelling): lamp reserved 2`},
		{byDHL, "ship lamp main:2 | shipped (cancelling): lamp shipped 2"},
		{byDHL, `unfit: a shipment's Dispatched for order "o1", which is shipped and asked to cancel, expected a confirmed order | shipped (cancelling): lamp shipped 2`},
		{shipment.Scheduled{}, `unfit: a shipment's Scheduled for order "o1", which is shipped and asked to cancel, expected a confirmed order | shipped (cancelling): lamp shipped 2`},
		{shipment.NotCancelled{}, "shipped: lamp shipped 2"},
		{shipment.NotCancelled{}, `unfit: a shipment's NotCancelled for order "o1", which is shipped, expected a shipped order that asked to cancel | shipped: lamp shipped 2`},
	})
}

func TestMail(t *testing.T) {
	tell(t, "on the straight way", []row{
		{withMail(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
		{queued("lamp"), "mail backordered | backordered: lamp waiting"},
		{given("lamp 2"), "pack [{lamp 2}]; mail confirmed | confirmed: lamp reserved 2"},
		{byDHL, "ship lamp main:2; mail shipped | shipped: lamp shipped 2"},
		{shipment.Delivered{}, "mail delivered | delivered: lamp shipped 2"},
	})
	tell(t, "of a rejection", []row{
		{withMail(AllOrNothing, "lamp 2", "mug 1"), "reserve exact 2 lamp; reserve exact 1 mug | pending: lamp pending, mug pending"},
		{given("lamp 2"), "pending: lamp reserved 2, mug pending"},
		{refused("mug", "insufficient"), "release lamp main:2; mail rejected | rejected lines_refused: lamp released, mug refused insufficient"},
	})
	tell(t, "of a cancellation, once", []row{
		{withMail(Backorder, "lamp 2"), "reserve or queue 2 lamp | pending: lamp pending"},
		{queued("lamp"), "mail backordered | backordered: lamp waiting"},
		{Cancel{}, "withdraw lamp; mail cancelled | cancelled: lamp withdrawing"},
		{Cancel{}, "cancelled: lamp withdrawing"},
		{withdrawn("lamp"), "cancelled: lamp withdrawn"},
	})
	tell(t, "of a cancelled parcel", []row{
		{withMail(AllOrNothing, "lamp 2"), "reserve exact 2 lamp | pending: lamp pending"},
		{given("lamp 2"), "pack [{lamp 2}]; mail confirmed | confirmed: lamp reserved 2"},
		{Cancel{}, "cancel the parcel | confirmed (cancelling): lamp reserved 2"},
		{shipment.Cancelled{}, "release lamp main:2; mail cancelled | cancelled: lamp released"},
	})
}

// What an e-mail says is all in its Notify.
func TestMailSays(t *testing.T) {
	var s State
	var mails []notification.Notify
	for _, e := range []any{withMail(Partial, "lamp 2", "mug 1"), givenOf("lamp 1"), refused("mug", "insufficient"), byDHL, shipment.Delivered{}} {
		r := apply(t, s, e)
		mails = append(mails, mailsOf(r)...)
		s = r.State
	}
	lines := []notification.Line{{SKU: "lamp", Quantity: 2, Allocated: 1}, {SKU: "mug", Quantity: 1}}
	equal(t, mails, []notification.Notify{
		{Kind: notification.Confirmed, Name: "Ada", Email: "ada@example.com", Lines: lines},
		{Kind: notification.Shipped, Name: "Ada", Email: "ada@example.com", Lines: lines, Carrier: "DHL", TrackingNumber: "X1"},
		{Kind: notification.Delivered, Name: "Ada", Email: "ada@example.com", Lines: lines},
	})
}

// An order that ended gives nothing, also while it holds units that it can't give back yet.
func TestMailOfAnEndSaysNothingIsGiven(t *testing.T) {
	s := apply(t, State{}, withMail(AllOrNothing, "lamp 2", "mug 1")).State
	s = apply(t, s, given("lamp 2")).State
	nothing := []notification.Line{{SKU: "lamp", Quantity: 2}, {SKU: "mug", Quantity: 1}}
	equal(t, mailsOf(apply(t, s, Cancel{})), []notification.Notify{
		{Kind: notification.Cancelled, Name: "Ada", Email: "ada@example.com", Lines: nothing},
	})
	equal(t, mailsOf(apply(t, s, inventory.Refused{SKU: "mug"})), []notification.Notify{
		{Kind: notification.Rejected, Name: "Ada", Email: "ada@example.com", Reason: ReasonRefused, Lines: nothing},
	})
}
