package engine

// Owned returns the partitions that this process is at work on now: recovered, and not halted at a message. No other
// process owns them, but for a stale owner that has not noticed yet.
func (g *Group) Owned() []int32 {
	g.mu.Lock()
	life := g.life
	g.mu.Unlock()
	var owned []int32
	if life == nil || life.failed() != nil {
		return nil
	}
	for _, l := range life.owned() {
		l.mu.Lock()
		if l.recovery.owned && l.halted == noOffset && l.err == nil {
			owned = append(owned, l.partition)
		}
		l.mu.Unlock()
	}
	return owned
}

// Changed returns a channel that is closed when Owned or Waiting may next say something else. Whoever wants to miss
// nothing asks for the channel first, and looks then.
func (g *Group) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}
