package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"certportal/internal/portal"
)

// nameProfile gives a new device the name of its Apple profile. A phone or Mac replaces a
// profile of the same name, mailbox included, and adds one of another name. So a device
// that the same phone enrolled before passes its name on, and else the first name is taken
// that no device in use has: a person who removes a device and enrols it again gets the
// name that it had.
func (r *Registrar) nameProfile(ctx context.Context, d *portal.Device, repeats []portal.DeviceID) error {
	for _, id := range repeats {
		before, err := r.Device(ctx, d.Person, id)
		switch {
		case err == nil && before.Platform == d.Platform:
			d.Profile = before.ProfileName()
			return nil
		case err != nil && !errors.Is(err, portal.ErrNotFound):
			return err
		}
	}
	devices, err := r.Devices(ctx, d.Person)
	if err != nil {
		return err
	}
	taken := make(map[string]bool)
	for _, other := range devices {
		if other.Certificate.Status == portal.Pending || other.Working(r.c.Now()) {
			taken[other.ProfileName()] = true
		}
	}
	for slot := 1; ; slot++ {
		if d.Profile = profileName(d.Person, slot); !taken[d.Profile] {
			return nil
		}
	}
}

// profileName is the name of a profile of a person: a label of a profile's identifier, which
// does not show who it is.
func profileName(person portal.PersonID, slot int) string {
	sum := sha256.Sum256([]byte("certportal profile " + string(person)))
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:10]), slot)
}
