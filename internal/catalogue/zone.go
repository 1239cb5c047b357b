package catalogue

import "time"

// Zone is the name of the zone of a time. Many have none but their offset: "UTC+08".
func Zone(t time.Time) string {
	name := t.Format("MST")
	if name != "" && (name[0] == '+' || name[0] == '-') {
		return "UTC" + name
	}
	return name
}
