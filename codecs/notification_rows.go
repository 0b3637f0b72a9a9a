package codecs

import (
	"fmt"

	"stockflow/codecs/internal/wire"
	"stockflow/machines/notification"
)

// EncodeNotificationRow returns a row of notification-table.
func EncodeNotificationRow(h Head, s notification.State) []byte {
	m := wire.NotificationRowFromVTPool()
	for _, mail := range s.Mails {
		w := next(&m.Mails)
		w.Notify = wire.NotifyFromVTPool()
		wireNotify(w.Notify, mail.Notify)
		w.More, w.Status, w.Round, w.Attempts = mail.More, wire.MailStatus(mail.Status), mail.Round, mail.Attempts
		w.Failure, w.Asked, w.Since = mail.Failure, mail.Asked, mail.Since
	}
	return encodeRow(h, m)
}

// DecodeNotificationRow reads a row of notification-table.
func DecodeNotificationRow(row []byte) (Head, notification.State, error) {
	return decodeRow(row, wire.NotificationRowFromVTPool(), notificationState)
}

func notificationState(m *wire.NotificationRow) (s notification.State, err error) {
	if len(m.Mails) == 0 {
		return s, nil
	}
	s.Mails = make([]notification.Mail, len(m.Mails))
	for i, w := range m.Mails {
		if err := mailKnown(w); err != nil {
			return notification.State{}, fmt.Errorf("mails[%d].%w", i, err)
		}
		s.Mails[i] = notification.Mail{Notify: notifyOf(w.Notify), More: w.More,
			Status: notification.Status(w.Status), Round: w.Round, Attempts: w.Attempts,
			Failure: w.Failure, Asked: w.Asked, Since: w.Since}
	}
	return s, nil
}

// mailKnown guards the numbers that stand for names.
func mailKnown(w *wire.Mail) error {
	if err := knownKind(w.Notify.GetKind()); err != nil {
		return fmt.Errorf("notify.%w", err)
	}
	return knownNumber("status", w.Status, wire.MailStatus_MAIL_STATUS_QUEUED, wire.MailStatus_MAIL_STATUS_FAILED)
}

func knownKind(kind wire.NotificationKind) error {
	return knownNumber("kind", kind,
		wire.NotificationKind_NOTIFICATION_KIND_CONFIRMED, wire.NotificationKind_NOTIFICATION_KIND_CANCELLED)
}
