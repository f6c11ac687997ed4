package dev.lfo.host

/** From the service to the module, where JavaScript listens. */
object HostEvents {
  @Volatile
  var onStop: (() -> Unit)? = null

  /** False where nobody listens. */
  fun stopPressed(): Boolean {
    val run = onStop ?: return false
    run()
    return true
  }
}
