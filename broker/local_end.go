package broker

// End returns where a partition ends, 0 if there is none. It is quick, and may be asked for every message.
func (l Local) End(topic string, partition int32) int64 {
	p := l.journal.Partition(topic, partition)
	if p == nil {
		return 0
	}
	_, end := p.Bounds(l.horizon)
	return end
}
