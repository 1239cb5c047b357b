package notify

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"certportal/internal/catalogue"
)

// sentences finds the sentences of mail. They are plain text: HTML is made of them
// later, and escaped there.
type sentences struct {
	*catalogue.Catalogue
	location *time.Location
}

func readSentences(files fs.FS, location *time.Location) (*sentences, error) {
	c, err := catalogue.Read(files)
	return &sentences{c, location}, err
}

// values fill a sentence. Count also picks the plural form.
type values map[string]any

// sentence returns a sentence with its values. A missing one is an error, so that no
// incomplete message is sent.
func (m *sentences) sentence(lang, key string, v values) (string, error) {
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

// moment formats a time with its zone as the language does.
func (m *sentences) moment(lang string, at time.Time) (string, error) {
	at = at.In(m.location)
	month, err := m.sentence(lang, "month."+strconv.Itoa(int(at.Month())), nil)
	if err != nil {
		return "", err
	}
	date, err := m.sentence(lang, "date", values{"Day": at.Day(), "Month": month, "Year": at.Year()})
	if err != nil {
		return "", err
	}
	return m.sentence(lang, "mail.moment", values{"Date": date, "Time": at.Format("15:04"), "Zone": catalogue.Zone(at)})
}
