package dev.lfo.host

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent

/** Starts to serve when the phone has started, where its owner has switched that on. */
class BootReceiver : BroadcastReceiver() {
  override fun onReceive(context: Context, intent: Intent) {
    if (intent.action != Intent.ACTION_BOOT_COMPLETED) return
    if (BootChoice.read(context)) HostService.show(context, "Starting")
  }
}

/** The owner's choice, where a receiver can read it without any JavaScript. */
object BootChoice {
  private const val FILE = "lfo"
  private const val STARTS_ON_BOOT = "startsOnBoot"

  fun read(context: Context): Boolean =
    context.getSharedPreferences(FILE, Context.MODE_PRIVATE).getBoolean(STARTS_ON_BOOT, false)

  fun write(context: Context, isOn: Boolean) {
    context.getSharedPreferences(FILE, Context.MODE_PRIVATE).edit().putBoolean(STARTS_ON_BOOT, isOn).apply()
  }
}
