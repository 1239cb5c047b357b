package notify

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"certportal/internal/catalogue"
)

// messages finds the sentences of mail. They are plain text: HTML is made of them
// later, and escaped there.
type messages struct {
	*catalogue.Catalogue
	location *time.Location
}

func readMessages(files fs.FS, location *time.Location) (*messages, error) {
	c, err := catalogue.Read(files)
	return &messages{c, location}, err
}

// values fill a sentence. Count also picks the plural form.
type values map[string]any

// sentence finds a sentence and fills it. A missing one is an error: half a letter
// is never sent.
func (m *messages) sentence(lang, key string, v values) (string, error) {
	filled := make(map[string]string, len(v))
	var count *int
	for name, value := range v {
		filled[name] = plain(fmt.Sprint(value))
		if n, ok := value.(int); ok && name == "Count" {
			count = &n
		}
	}
	text, err := m.Localize(lang, key, filled, count)
	if err != nil {
		return "", fmt.Errorf("finding sentence %s in %s: %w", key, lang, err)
	}
	return text, nil
}

// moment is a time as people of a language write it, with its zone.
func (m *messages) moment(lang string, at time.Time) (string, error) {
	at = at.In(m.location)
	month, err := m.sentence(lang, "month."+strconv.Itoa(int(at.Month())), nil)
	if err != nil {
		return "", err
	}
	date, err := m.sentence(lang, "date", values{"Day": at.Day(), "Month": month, "Year": at.Year()})
	if err != nil {
		return "", err
	}
	zone := at.Format("MST")
	if zone != "" && (zone[0] == '+' || zone[0] == '-') {
		zone = "UTC" + zone // a zone without a name
	}
	return m.sentence(lang, "mail.moment", values{"Date": date, "Time": at.Format("15:04"), "Zone": zone})
}
