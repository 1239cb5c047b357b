package page

// AddCatalogue adds a language for a test, such as one written from right to
// left; what it lacks is shown in English.
func (r *Renderer) AddCatalogue(lang string, data []byte) error { return r.words.Add(lang, data) }

// Contrast is the contrast of two colours "#rrggbb".
func Contrast(a, b string) (float64, error) {
	x, err := parseColour(a)
	if err != nil {
		return 0, err
	}
	y, err := parseColour(b)
	return contrast(x, y), err
}

// The grounds on which a company's colour must be readable.
const (
	LightGround = lightGround
	DarkGround  = darkGround
)
