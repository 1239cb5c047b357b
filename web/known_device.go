package web

import (
	"net/http"
	"slices"
	"strings"

	"certportal/internal/portal"
	"certportal/internal/signin"
)

const (
	// deviceCookie is the name of the cookie by which a phone or computer is recognised on
	// which a person enrolled it. It holds ids of devices, which are not secret, and opens
	// nothing: to another person an id says nothing.
	deviceCookie = "__Host-device"

	// maxKnownDevices is how many ids the cookie holds: of people who share the device, and
	// of what one person enrolled it as.
	maxKnownDevices = 4
)

// knownDevices reads the cookie, newest device first. It may be forged.
func knownDevices(r *http.Request) []portal.DeviceID {
	cookie, err := r.Cookie(deviceCookie)
	if err != nil {
		return nil
	}
	var ids []portal.DeviceID
	for part := range strings.SplitSeq(cookie.Value, ".") {
		if id := portal.DeviceID(part); validDeviceID(part) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if len(ids) == maxKnownDevices {
			break
		}
	}
	return ids
}

// recognise remembers that the person enrolled the device of this browser, if it is of the
// platform of the browser: another one gets its file from here.
func recognise(w http.ResponseWriter, r *http.Request, id portal.DeviceID, platform portal.Platform) {
	if clientOf(r).Platform != string(platform) {
		return
	}
	ids := []string{string(id)}
	for _, other := range knownDevices(r) {
		if other != id && len(ids) < maxKnownDevices {
			ids = append(ids, string(other))
		}
	}
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: strings.Join(ids, "."), MaxAge: int(signin.KnownLife.Seconds()),
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// repeats are the devices that this browser was enrolled as before, for a device of its
// own platform.
func repeats(r *http.Request, platform portal.Platform) []portal.DeviceID {
	if clientOf(r).Platform != string(platform) {
		return nil
	}
	return knownDevices(r)
}

// thisDevice finds the device of this browser among those of the person. One that was
// removed or blocked is not it any more.
func thisDevice(r *http.Request, devices []portal.Device) (portal.Device, bool) {
	for _, id := range knownDevices(r) {
		at := slices.IndexFunc(devices, func(d portal.Device) bool {
			return d.ID == id && d.Removed.IsZero() && d.Blocked.IsZero()
		})
		if at >= 0 {
			return devices[at], true
		}
	}
	return portal.Device{}, false
}
