package notify

import (
	"context"
	"fmt"
	"time"
)

const day = 24 * time.Hour

// reminderBatch bounds one transaction of the sweep.
const reminderBatch = 200

// reminderDays are the days before expiry on which people are reminded, nearest first.
func reminderDays() []int { return []int{1, 7, 14, 30} }

// Remind enqueues messages about certificates that expire within 30, 14, 7 and 1 days,
// once each. After a downtime only the nearest is written. Certificates with a lifetime
// under twice those days get none, so that a certificate is not announced as expiring
// right after it was issued.
func (n *Notifier) Remind(ctx context.Context) error {
	now := n.c.Now()
	after := now
	for _, days := range reminderDays() {
		until := now.Add(time.Duration(days) * day)
		for {
			more, err := n.remind(ctx, days, after, until)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		after = until
	}
	return nil
}

// remind enqueues one batch and reports whether there is another. Messages without
// address are enqueued too and occupy their key, so that the next batch differs.
func (n *Notifier) remind(ctx context.Context, days int, after, until time.Time) (more bool, err error) {
	if full, err := n.queueFull(ctx); err != nil || full {
		return false, err
	}
	key := fmt.Sprintf("ends:%d:", days)
	life := 2 * time.Duration(days) * day
	found, err := n.c.Store.ExpiringCertificates(ctx, key, after, until, life, reminderBatch)
	if err != nil || len(found) == 0 {
		return false, n.storeResult(ctx, err)
	}
	msgs := make([]Message, len(found))
	for i, r := range found {
		l := n.newMessage(Ending, key+r.Serial)
		l.Person, l.Language = r.Person, n.languageOr(r.Language)
		l.Params = Params{
			Device: r.Device, Devices: []string{r.DeviceName}, At: l.Made, Until: r.NotAfter,
			Days: daysUntil(r.NotAfter.Sub(l.Made)),
		}
		msgs[i] = l
	}
	msgs, err = n.fillAddresses(ctx, msgs)
	if err != nil {
		return false, err
	}
	err = n.c.Store.Enqueue(ctx, msgs)
	return len(found) == reminderBatch, n.storeResult(ctx, err)
}

// daysUntil rounds up to whole days.
func daysUntil(left time.Duration) int { return int((left + day - 1) / day) }
